import csv
import json
import shutil

import pandas as pd
import pytest
import shapely
from typer.testing import CliRunner

from maps.audit_sample import PLACE
from maps.linking import SITES
from models.site_class import load_site_class
from pipeline.auditing import estimate_audit, sample_run
from pipeline.cli import app
from tests.maps.conftest import make_survey
from tiles.coverage import COVERAGE
from tiles.errors import ConfigError, RunFolderError, TableError
from tiles.tables import write_table


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    """A finished run of the made-up survey, as far as an audit looks at it."""
    folder = tmp_path_factory.mktemp("audit") / "run"
    folder.mkdir()
    survey = make_survey()
    write_table(survey.sites, folder / "sites.parquet", SITES)
    write_table(survey.coverage, folder / "coverage.parquet", COVERAGE)
    identity = {
        "region": {"wkb": shapely.to_wkb(survey.region.polygon, hex=True)},
        "site_class": load_site_class("brick_kiln").model_dump(mode="json"),
    }
    (folder / "manifest.json").write_text(json.dumps({"survey": identity, "files": {}}))
    return folder


def sheet(folder):
    with (folder / "sheet.csv").open(encoding="utf-8-sig", newline="") as stream:
        return list(csv.DictReader(stream))


def mark(folder, answer):
    rows = sheet(folder)
    for row in rows:
        row["mark"] = answer(row)
    pd.DataFrame(rows).to_csv(folder / "sheet.csv", index=False)


def test_the_sheet_says_where_to_look_and_not_what_the_detector_thinks(run_folder, tmp_path):
    said = sample_run(run_folder, 80, tmp_path / "audit", seed=1)
    rows = sheet(tmp_path / "audit")
    assert said.startswith("Drew 80 chips (")
    assert len(rows) == 80
    assert not {"stratum", "p_site", "score", "site_id", "inclusion_probability"} & set(rows[0])
    assert all("labour conditions not assessed" in row["note"] for row in rows)
    assert {row["mark"] for row in rows} == {""}
    known = [row for row in rows if row["known_sites"] not in ("", "0")]
    assert all(len(row["known_at"].split("; ")) == int(row["known_sites"]) for row in known)
    assert (tmp_path / "audit").stat().st_mode & 0o777 == 0o700
    for name in ("sheet.csv", "design.parquet"):
        assert (tmp_path / "audit" / name).stat().st_mode & 0o777 == 0o600
    ground = [row["question"] for row in rows if "How many" in row["question"]]
    assert ground
    assert all("have their middle in this square" in question for question in ground)


def test_the_same_seed_gives_the_same_bytes_and_marks_are_never_overwritten(run_folder, tmp_path):
    for name in ("a", "b"):
        sample_run(run_folder, 60, tmp_path / name, seed=5)
    for name in ("sheet.csv", "design.parquet"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    with pytest.raises(RunFolderError, match="its marks would be lost"):
        sample_run(run_folder, 60, tmp_path / "a", seed=6)


def test_marks_become_figures(run_folder, tmp_path):
    folder = tmp_path / "audit"
    sample_run(run_folder, 120, folder, seed=2)
    mark(folder, lambda row: "yes" if "yes" in row["question"] else "0")
    said = estimate_audit(folder)
    assert "recall: 100% (" in said
    assert "precision: 100% (" in said
    assert "Marked 120 of 120 chips; could not tell: 0; not reached: 0." in said
    figures = pd.read_csv(folder / "estimates.csv", index_col="figure")
    assert list(figures.index) == ["recall", "precision", "found", "missed", "total"]
    assert (figures["low"] <= figures["estimate"]).all()
    assert figures.loc["missed", "high"] > 0  # 60 empty squares do not prove that all are empty
    assert figures.loc["recall", "low"] < 1
    design = pd.read_parquet(folder / "design.parquet")
    places = design[design["kind"] == PLACE]
    assert figures.loc["found", "estimate"] == pytest.approx(
        (1 / places["inclusion_probability"]).sum()
    )


def test_nothing_marked_and_wrong_marks_are_one_sentence(run_folder, tmp_path):
    folder = tmp_path / "audit"
    sample_run(run_folder, 60, folder, seed=3)
    with pytest.raises(TableError, match=r"no chip of .* is marked"):
        estimate_audit(folder)
    mark(folder, lambda row: "perhaps")
    with pytest.raises(TableError, match="the mark 'perhaps' is no answer"):
        estimate_audit(folder)
    rows = sheet(folder)[1:]
    pd.DataFrame(rows).to_csv(folder / "sheet.csv", index=False)
    with pytest.raises(TableError, match="lacks chip-0001"):
        estimate_audit(folder)
    with pytest.raises(TableError, match="is not there"):
        estimate_audit(tmp_path / "nowhere")


def test_a_run_of_another_version_is_one_sentence(run_folder, tmp_path):
    old = tmp_path / "old"
    shutil.copytree(run_folder, old)
    manifest = json.loads((old / "manifest.json").read_text())
    manifest["survey"]["site_class"]["season_months"] = [11, 12]
    (old / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(RunFolderError, match=r"another version of Kilnlight \(site class, seas"):
        sample_run(old, 60, tmp_path / "audit", 1)
    assert not (tmp_path / "audit").exists()


def test_a_negative_seed_is_refused_by_the_command(run_folder, tmp_path):
    args = ["audit", "sample", str(run_folder), "--n", "60", "--out", str(tmp_path / "audit")]
    result = CliRunner().invoke(app, [*args, "--seed", "-1"])
    assert result.exit_code == 2
    assert not (tmp_path / "audit").exists()


def test_no_run_and_too_few_chips_are_one_sentence(run_folder, tmp_path):
    with pytest.raises(RunFolderError, match="holds no run"):
        sample_run(tmp_path / "none", 60, tmp_path / "audit", 1)
    with pytest.raises(ConfigError, match="3 chips are too few"):
        sample_run(run_folder, 3, tmp_path / "audit", 1)
    assert not (tmp_path / "audit").exists()
