"""The first notebook runs on any demo, prints the tables' figures, and is committed as it ran."""

import base64
import re
import shutil

import nbformat
import pytest
from nbclient.exceptions import CellExecutionError

from maps.evidence import GROUPS
from maps.hotspots import HOT_CLASSES, HOTSPOTS
from maps.linking import SITES
from models.detection import DETECTIONS
from tests.conftest import REPOSITORY
from tests.notebooks.execute import execute
from tiles.coverage import COVERAGE, SEARCHED
from tiles.noised_counts import NOISED_COUNTS
from tiles.tables import read_table, write_table

NOTEBOOK = REPOSITORY / "notebooks" / "01_first_survey.ipynb"
LARGEST_BYTES = 1_500_000
PNG = b"\x89PNG"


@pytest.fixture(scope="module")
def executed(folder):
    return execute(NOTEBOOK, folder)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def outputs(notebook):
    return [output for cell in code_cells(notebook) for output in cell.outputs]


def printed(notebook):
    return "".join(o.text for o in outputs(notebook) if o.output_type == "stream")


def tables(notebook):
    return [
        o.data["text/markdown"] for o in outputs(notebook) if "text/markdown" in o.get("data", {})
    ]


def pictures(notebook):
    found = [o.data["image/png"] for o in outputs(notebook) if "image/png" in o.get("data", {})]
    return [base64.b64decode(text) for text in found]


def figure_of(text, label):
    """The first number after a printed label."""
    found = re.search(rf"^{re.escape(label)}[^:]*: ([\d,]+)", text, flags=re.MULTILINE)
    assert found, f"{label!r} is not printed"
    return int(found[1].replace(",", ""))


def test_prints_the_figures_of_the_tables(folder, executed):
    text = printed(executed)
    detections = read_table(folder / "run/detections.parquet", DETECTIONS)
    sites = read_table(folder / "run/sites.parquet", SITES)
    hot = read_table(folder / "run/hotspots.parquet", HOTSPOTS)["hotspot_class"].isin(HOT_CLASSES)
    counts = read_table(folder / "noised_counts.parquet", NOISED_COUNTS)["count_noised"]
    groups = read_table(folder / "run/groups.parquet", GROUPS)
    coverage = read_table(folder / "run/coverage.parquet", COVERAGE)
    seen_km2 = coverage.loc[coverage["status"].isin(SEARCHED), "area_km2"].sum()

    assert len(sites) > 0
    assert len(counts) > 0
    assert figure_of(text, "Detections") == len(detections)
    assert figure_of(text, "Sites") == len(sites)
    assert figure_of(text, "Likely sites, p_site") == (sites["p_site"] >= 0.5).sum()
    assert figure_of(text, "Hot cells") == hot.sum()
    assert figure_of(text, "Groups with a noised count") == len(counts)
    assert figure_of(text, "Counts that are negative") == (counts < 0).sum()
    assert figure_of(text, "Groups with a reporting rate") == groups["report_rate"].notna().sum()
    assert f"Looked at {seen_km2:,.0f} of {coverage['area_km2'].sum():,.0f} km²." in text


def test_shows_the_counts_and_the_list(folder, executed):
    noised = read_table(folder / "noised_counts.parquet", NOISED_COUNTS)
    reasons = read_table(folder / "run/sites.parquet", SITES)["reason"].head(8)
    shown_counts, ranked = tables(executed)[1], tables(executed)[-1]
    for row in noised.itertuples():
        assert re.search(rf"\| {row.group_id} \| \d+ \| {row.count_noised} \| ±2 \|", shown_counts)
    assert all(reason in ranked for reason in reasons)


def test_counts_real_kilns_as_the_demo_does(demo, executed):
    found, seen, false = map(
        int,
        re.search(
            r"kilns: (\d+) of (\d+) that can be seen were found, (\d+) det", demo[1]
        ).groups(),
    )
    text = printed(executed)
    assert f"real kilns: {found} of {found + false} that can be checked" in text
    assert f"likely sites: {found} of {seen} that can be seen" in text


def test_names_no_folder(folder, executed):
    assert str(folder) not in nbformat.writes(executed)


def test_works_where_nothing_was_found_or_released(folder, tmp_path):
    bare = shutil.copytree(folder, tmp_path / "bare")
    for name, schema in (
        ("run/sites.parquet", SITES),
        ("run/detections.parquet", DETECTIONS),
        ("noised_counts.parquet", NOISED_COUNTS),
    ):
        write_table(schema.empty(), bare / name, schema)
    groups = read_table(bare / "run/groups.parquet", GROUPS)
    rates = ["report_rate", "report_rate_low", "report_rate_high"]
    groups[rates], groups["evidence_class"] = float("nan"), "no_release"
    write_table(groups, bare / "run/groups.parquet", GROUPS)

    made = execute(NOTEBOOK, bare)

    assert figure_of(printed(made), "Sites") == 0
    assert figure_of(printed(made), "Groups with a noised count") == 0
    assert len(pictures(made)) == 6


def test_one_sentence_where_there_is_no_demo(tmp_path):
    with pytest.raises(CellExecutionError, match="run `make demo` first"):
        execute(NOTEBOOK, tmp_path)


def test_committed_with_every_output_and_nothing_of_a_machine():
    committed = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(committed)
    cells = code_cells(committed)
    assert all(cell.outputs for cell in cells)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert {o.output_type for o in outputs(committed)} == {"stream", "display_data"}
    assert {o.name for o in outputs(committed) if o.output_type == "stream"} == {"stdout"}
    assert not any("execution" in cell.metadata for cell in cells)
    assert not re.search(r"/(home|root|tmp|work|Users)/|[A-Z]:\\\\|0x[0-9a-f]{6}", shown(committed))
    assert NOTEBOOK.stat().st_size < LARGEST_BYTES


def shown(notebook):
    """Everything in a notebook but its pictures, whose base64 may spell anything."""
    return re.sub(r'"image/png": "[^"]*"', "", nbformat.writes(notebook))


def test_committed_pictures_are_small():
    found = pictures(nbformat.read(NOTEBOOK, as_version=4))
    assert len(found) == 6
    assert all(picture.startswith(PNG) and len(picture) < 600_000 for picture in found)


def test_accuses_nobody_and_says_what_the_figures_are_not():
    text = shown(nbformat.read(NOTEBOOK, as_version=4)).lower()
    assert "a worksite is not proof of a crime" in text
    assert '\\"not looked at\\" is not \\"nothing there\\"' in text
    assert "worksite detected, labour conditions not assessed" in text
    assert not re.search(r"slave|traffick|perpetrator|offender|culprit|suspects?\b|illegal", text)
