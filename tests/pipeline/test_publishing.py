"""`kilnlight publish` on a run folder: what it refuses, and what it leaves behind when it does."""

import io
import json
import zipfile
from datetime import date
from pathlib import Path

import geopandas as gpd
import pandas as pd
import pyrage
import pytest

from maps.exclusions import Exclusion, write_exclusions
from maps.hotspots import HOTSPOTS
from maps.linking import SITES
from maps.record import SurveyRecord, read_record, write_record
from models.site_class import load_site_class
from pipeline.publishing import PublishSettings, publish_run
from pipeline.reports.ledger import LedgerLine, open_ledger
from pipeline.reports.verify import verify
from tests.maps.conftest import PERIOD, make_survey
from tiles.coverage import COVERAGE
from tiles.errors import ConfigError, KilnlightError, PublishError, RunFolderError
from tiles.files import sha256_file, write_text
from tiles.noised_counts import NOISED_COUNTS, counts_sha256
from tiles.partition import write_partition
from tiles.tables import read_table, write_table

LATER = date(2026, 10, 1)  # the first day after the period's quarter


@pytest.fixture(scope="session")
def survey():
    return make_survey()


def write_run(folder: Path, survey, **changes) -> Path:
    """A finished run folder of the made-up survey, its ledger beside it."""
    folder.mkdir(parents=True)
    sites = changes.get("sites", survey.sites)
    write_table(sites, folder / "sites.parquet", SITES)
    period = changes.get("facts", {}).get("period", PERIOD)
    write_table(survey.coverage.assign(period=period), folder / "coverage.parquet", COVERAGE)
    write_table(survey.hotspots, folder / "hotspots.parquet", HOTSPOTS)
    write_partition(survey.partition, folder / "partition.parquet", {"k": "5"})
    run_file = f'imagery = ["scene.tif"]\nout = "{folder}"\n'
    write_text(folder / "run.toml", run_file + changes.get("run_file", ""))
    release = write_release(folder, survey)
    facts = survey.facts.model_copy(update={"release": release, **changes.get("facts", {})})
    kilns = load_site_class("brick_kiln")
    write_record(folder, SurveyRecord(facts=facts, site_class=kilns))
    return folder


def write_release(folder: Path, survey):
    """The survey's noised counts as a table, and the line of the ledger that records it."""
    counts = survey.release.count_noised
    outlines = survey.partition.set_index("group_id").geometry
    table = gpd.GeoDataFrame(
        {
            "release_id": survey.release.release_id,
            "partition_sha256": sha256_file(folder / "partition.parquet"),
            "group_id": list(counts.index),
            "industry": "C_Manufacturing",
            "period": PERIOD,
            "count_noised": counts.to_numpy(),
            "noise_scale": 1.0,
            "epsilon": 1.0,
        },
        geometry=list(outlines[counts.index]),
        crs="EPSG:4326",
    )
    write_table(table, folder / "noised_counts.parquet", NOISED_COUNTS)
    with open_ledger(folder.parent / "ledger.jsonl") as ledger:
        line = LedgerLine(
            release_id=survey.release.release_id,
            vector="reporters",
            partition_sha256=sha256_file(folder / "partition.parquet"),
            period=PERIOD,
            industries=("C_Manufacturing",),
            epsilon=1.0,
            sensitivity=1,
            scale=1.0,
            output="noised_counts.parquet",
            counts_sha256=counts_sha256(table),
            previous_sha256=ledger.head_sha256,
            recorded_utc="2026-07-01T00:00:00+00:00",
        )
        ledger.append(line)
    return survey.facts.release.model_copy(update={"ledger_head_sha256": line.sha256})


@pytest.fixture(scope="module")
def run(survey, tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("runs") / "run", survey)


def settings_for(run, out, **changes):
    values = {
        "run_folder": run,
        "out": out,
        "tier": "public",
        "publisher": "Kiln Watch",
        "contact": "ask@example.org",
        "ledger": run.parent / "ledger.jsonl",
        "today": LATER,
    }
    return PublishSettings.model_validate(values | changes)


def refusal(settings):
    """The sentence of a refusal; nothing may be left of it."""
    before = set(settings.out.parent.rglob("*"))
    with pytest.raises(KilnlightError) as refused:
        publish_run(settings)
    assert set(settings.out.parent.rglob("*")) == before
    sentence = str(refused.value)
    assert len(sentence.split(". ")) == 1
    return sentence


def test_public_folder_is_the_preview_without_its_banner(run, tmp_path):
    said = publish_run(settings_for(run, tmp_path / "public"))
    assert "Epsilon 1, in the ledger" in said
    manifest = json.loads((tmp_path / "public" / "manifest.json").read_text())
    assert (manifest["tier"], manifest["preview"], manifest["not_before"]) == (
        "public",
        False,
        "2026-10",
    )
    index = (tmp_path / "public" / "index.html").read_text()
    assert "Preview" not in index
    assert "Held back until October 2026" in index
    method = (tmp_path / "public" / "method.html").read_text()
    assert "Published by Kiln Watch. Write to: ask@example.org" in method
    verify(run.parent / "ledger.jsonl", [tmp_path / "public"])


def test_published_again_it_is_the_same_and_replaces_only_itself(run, tmp_path):
    out = tmp_path / "public"
    publish_run(settings_for(run, out))
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    publish_run(settings_for(run, out))
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    (out / "notes.txt").write_text("mine")
    assert "something else than an earlier publication" in refusal(settings_for(run, out))
    assert (out / "notes.txt").read_text() == "mine"
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.tex").write_text("x")
    assert "something else" in refusal(settings_for(run, tmp_path / "thesis"))
    assert "holds something else" in refusal(settings_for(run, run))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"today": date(2026, 9, 30)}, "waits 3 months, until 2026-10 (today is 2026-09-30)"),
        ({"delay_months": 12}, "waits 12 months, until 2027-07"),
        ({"ledger": None}, "their epsilon must be in the ledger"),
        ({"ledger": Path("nowhere.jsonl")}, "does not hold release demo-1"),
        ({"exclusions": Path("nowhere.csv")}, "nowhere.csv is not there"),
        ({"run_folder": Path("nowhere")}, "is no finished run"),
        ({"to": ("age1x",)}, "--to encrypts the partner tier"),
        ({"tier": "partner"}, "nobody to encrypt for"),
        ({"tier": "partner", "to": ("age1nobody",)}, "'age1nobody', which is no public key"),
        ({"tier": "partner", "to": ("bob",)}, "'bob' is neither a public key"),
        ({"tier": "partner", "to": ("AGE-SECRET-KEY-1ABC",)}, "holds a secret key"),
        ({"tier": "partner", "plain": True}, "none of the 338 sites in"),
    ],
)
def test_gates_are_closed_before_anything_is_written(run, tmp_path, changes, sentence):
    said = refusal(settings_for(run, tmp_path / "out", **changes))
    assert sentence in said
    assert "SECRET-KEY-1" not in said


def test_delay_is_counted_from_the_period_and_the_partner_has_none(run, survey, tmp_path):
    publish_run(settings_for(run, tmp_path / "a", delay_months=0, today=date(2026, 7, 1)))
    assert "until 2026-07" in refusal(
        settings_for(run, tmp_path / "b", delay_months=0, today=date(2026, 6, 30))
    )
    early = {"tier": "partner", "plain": True, "unreviewed": True, "today": date(2026, 6, 30)}
    publish_run(settings_for(run, tmp_path / "c", **early))
    undated = write_run(tmp_path / "undated" / "run", survey, facts={"period": "undated"})
    said = refusal(settings_for(undated, tmp_path / "d"))
    assert "no noised counts" in said  # a release is of months
    undated = write_run(tmp_path / "silent" / "run", survey, facts={"period": "undated"})
    record = SurveyRecord.model_validate_json((undated / "publication.json").read_text())
    facts = record.facts.model_copy(update={"release": None, "not_before": None})
    write_record(undated, record.model_copy(update={"facts": facts}))
    assert "names no months" in refusal(settings_for(undated, tmp_path / "e"))


def test_a_changed_table_of_counts_is_found(survey, tmp_path):
    run = write_run(tmp_path / "one" / "run", survey)
    counts = read_table(run / "noised_counts.parquet", NOISED_COUNTS)
    counts.loc[0, "count_noised"] += 1
    write_table(counts, run / "noised_counts.parquet", NOISED_COUNTS)
    assert "does not hold release demo-1" in refusal(settings_for(run, tmp_path / "out"))


@pytest.mark.parametrize("change", [{"epsilon": 0.01}, {"noise_scale": 9.0}, {"release_id": "x"}])
def test_what_the_pages_say_of_the_release_is_the_ledgers(survey, tmp_path, change):
    """The record is a file that an editor can open: it must not make epsilon smaller."""
    run = write_run(tmp_path / "one" / "run", survey)
    record = read_record(run)
    told = record.facts.release.model_copy(update=change)
    facts = record.facts.model_copy(update={"release": told})
    write_record(run, record.model_copy(update={"facts": facts}))
    assert "does not hold release" in refusal(settings_for(run, tmp_path / "out"))


def test_a_record_of_another_period_than_was_searched_does_not_end_the_delay(survey, tmp_path):
    run = write_run(tmp_path / "one" / "run", survey)
    record = read_record(run)
    facts = record.facts.model_copy(update={"period": "2024-11/2025-06", "release": None})
    write_record(run, record.model_copy(update={"facts": facts}))
    said = refusal(settings_for(run, tmp_path / "out", today=date(2025, 12, 1)))
    assert f"searched {PERIOD}" in said


def test_an_earlier_period_stands_on_the_slider_and_its_rejected_sites_count(survey, tmp_path):
    run = write_run(tmp_path / "now" / "run", survey)
    old = {"period": "2024-11/2025-06", "release": None}
    before = write_run(tmp_path / "old" / "run", survey, facts=old)
    publish_run(settings_for(run, tmp_path / "out", earlier=(before,)))
    page = (tmp_path / "out" / "map.html").read_text(encoding="utf-8")
    assert '"period":"2024-11/2025-06"' in page
    assert f'"period":"{PERIOD}"' in page
    emptied = survey.sites.assign(review_status="rejected")
    looked = write_run(tmp_path / "looked" / "run", survey, facts=old, sites=emptied)
    publish_run(settings_for(run, tmp_path / "none", earlier=(looked,)))
    table = pd.read_csv(tmp_path / "none" / "groups.csv", encoding="utf-8-sig")
    assert table["report_rate"].isna().all()


def test_partner_tier_is_one_file_that_the_recipient_alone_can_open(run, survey, tmp_path):
    mine, other = pyrage.x25519.Identity.generate(), pyrage.x25519.Identity.generate()
    keys = tmp_path / "partners.txt"
    keys.write_text(f"# Kiln Watch\n{mine.to_public()}\n")
    settings = settings_for(
        run, tmp_path / "partner", tier="partner", to=(str(keys),), unreviewed=True
    )
    said = publish_run(settings)
    assert "338 sites are listed, 0 of them confirmed" in said
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "partner.zip.age",
        "partners.txt",
    ]
    sealed = (tmp_path / "partner.zip.age").read_bytes()
    with pytest.raises(pyrage.DecryptError):
        pyrage.decrypt(sealed, [other])
    archive = zipfile.ZipFile(io.BytesIO(pyrage.decrypt(sealed, [mine])))
    names = set(archive.namelist())
    assert {"index.html", "map.html", "sites.csv", "manifest.json"} <= names
    assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    plain = settings.model_copy(update={"plain": True, "to": (), "out": tmp_path / "plain"})
    assert "NOT encrypted" in publish_run(plain)
    assert plain.out.stat().st_mode & 0o777 == 0o700
    for path in plain.out.iterdir():
        assert archive.read(path.name) == path.read_bytes(), path.name


def reviewed(survey):
    statuses = ["confirmed", "rejected", "unsure", "wrong_class", "unreviewed"]
    given = [statuses[n % 5] for n in range(len(survey.sites))]
    return survey.sites.assign(review_status=given)


def test_rejected_sites_are_never_listed_and_unreviewed_ones_on_request(survey, tmp_path):
    sites = reviewed(survey)
    run = write_run(tmp_path / "runs" / "run", survey, sites=sites)
    listed = {}
    for unreviewed in (False, True):
        out = tmp_path / f"partner_{unreviewed}"
        settings = settings_for(run, out, tier="partner", plain=True, unreviewed=unreviewed)
        publish_run(settings)
        table = pd.read_csv(out / "sites.csv", encoding="utf-8-sig")
        listed[unreviewed] = set(table["review_status"])
        hidden = sites.loc[~sites["site_id"].isin(table["site_id"]), "site_id"]
        text = "".join(path.read_text(encoding="utf-8") for path in out.iterdir())
        assert not [name for name in hidden if name in text]
    assert listed == {False: {"confirmed"}, True: {"confirmed", "unsure", "unreviewed"}}


def test_a_run_that_still_counts_an_excluded_place_is_refused(run, survey, tmp_path):
    site = survey.sites.iloc[7]
    path = tmp_path / "exclusions.csv"
    place = Exclusion(lon=site["lon"], lat=site["lat"], radius_m=50, reason="my cousin")
    write_exclusions(path, [place])
    said = refusal(settings_for(run, tmp_path / "out", exclusions=path))
    assert f"still counts 1 of the places that {path}" in said
    assert "--exclusions" in said
    own = write_run(tmp_path / "own" / "run", survey, run_file=f'exclusions = "{path}"\n')
    assert "still counts 1" in refusal(settings_for(own, tmp_path / "out"))
    without = survey.sites[survey.sites["site_id"] != site["site_id"]].reset_index(drop=True)
    clean = write_run(
        tmp_path / "clean" / "run", survey, sites=without, run_file=f'exclusions = "{path}"\n'
    )
    out = tmp_path / "out"
    publish_run(settings_for(clean, out))
    for file in out.iterdir():
        text = file.read_text(encoding="utf-8")
        assert "my cousin" not in text
        assert str(path) not in text
        assert sha256_file(path) not in text


def test_areas_that_list_too_few_sites_are_said_to_the_operator(survey, tmp_path):
    """A place excluded after the partition was made: a partner who counts sees which area."""
    kept = survey.partition.query("released and group_id != 'rest'").iloc[0]
    inside = survey.sites["cell_id"].isin(kept["cell_ids"])
    few = survey.sites.drop(survey.sites.index[inside][4:]).reset_index(drop=True)
    run = write_run(tmp_path / "runs" / "run", survey, sites=few)
    partner = {"tier": "partner", "plain": True, "unreviewed": True}
    said = publish_run(settings_for(run, tmp_path / "out", **partner))
    assert "a reporting figure and under 5 sites of this run: 1." in said
    whole = write_run(tmp_path / "whole" / "run", survey)
    assert "under 5 sites" not in publish_run(settings_for(whole, tmp_path / "all", **partner))


def test_earlier_periods_must_have_the_same_groups(run, survey, tmp_path):
    same = settings_for(run, tmp_path / "out", earlier=(run,))
    assert "not earlier than" in refusal(same)
    other = write_run(tmp_path / "other" / "run", survey)
    write_partition(survey.partition.iloc[:-1], other / "partition.parquet", {"k": "5"})
    assert "has other groups of cells" in refusal(
        settings_for(run, tmp_path / "out", earlier=(other,))
    )


def test_a_damaged_record_or_run_file_is_said(survey, tmp_path):
    run = write_run(tmp_path / "runs" / "run", survey)
    (run / "run.toml").unlink()
    assert "run.toml cannot be read" in refusal(settings_for(run, tmp_path / "out"))
    (run / "publication.json").write_text("{}")
    with pytest.raises(RunFolderError, match="is damaged"):
        publish_run(settings_for(run, tmp_path / "out"))


def test_settings_refuse_nobody_to_ask(run, tmp_path):
    with pytest.raises(ValueError, match="contact"):
        settings_for(run, tmp_path / "out", contact="")
    with pytest.raises(PublishError, match="fine enough"):
        publish_run(settings_for(run, tmp_path / "out", publisher="House at 28.6139, 77.2090"))
    with pytest.raises(ConfigError, match="something else"):
        publish_run(settings_for(run, run.parent))
