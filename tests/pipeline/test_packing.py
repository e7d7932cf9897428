import io
import json
import os
import stat
import time
import zipfile
from datetime import date

import pandas as pd
import pypdfium2
import pytest
import shapely
from pyrage import decrypt, x25519
from typer.testing import CliRunner

from maps.exclusions import Exclusion, write_exclusions
from maps.linking import SITES
from maps.packs.register import PackRegister
from pipeline.cli import app
from pipeline.packing import PackSettings, make_pack
from pipeline.priorities import PrioritySettings
from tests.made_up_packs import AREA, write_area, write_run
from tests.maps.conftest import make_survey
from tiles.errors import ConfigError, KilnlightError, RegionError, RunFolderError
from tiles.tables import read_table, write_table

TODAY = date(2026, 11, 22)


@pytest.fixture(scope="module")
def survey():
    return make_survey()


@pytest.fixture
def run_folder(survey, tmp_path):
    return write_run(tmp_path / "run", survey)


@pytest.fixture
def area(tmp_path):
    return write_area(tmp_path / "area.geojson")


def settings_for(run_folder, area, **changes):
    values = {"run_folder": run_folder, "team": "Team Ganga", "area": area, "plain": True}
    return PackSettings.model_validate(values | {"today": TODAY} | changes)


def sites_of(folder):
    return list(pd.read_csv(next(folder.glob("KP-*/sites.csv")), encoding="utf-8-sig")["site_id"])


def test_only_those_named_can_open_a_pack(run_folder, area, tmp_path):
    keys = [x25519.Identity.generate() for _ in range(3)]
    named = tmp_path / "asha.txt"
    named.write_text(f"# Asha\n{keys[1].to_public()}\n")
    to = (str(keys[0].to_public()), str(named))
    said = make_pack(settings_for(run_folder, area, plain=False, to=to))
    (path,) = (run_folder / "packs").glob("*.zip.age")
    assert path.name in said
    for key in keys[:2]:
        with zipfile.ZipFile(io.BytesIO(decrypt(path.read_bytes(), [key]))) as archive:
            assert len(archive.namelist()) == 10
            assert pypdfium2.PdfDocument(archive.read("cards.pdf"))
    (line,) = (run_folder / "packs" / "log.jsonl").read_text().splitlines()
    assert json.loads(line)["encrypted_for"] == [str(key.to_public()) for key in keys[:2]]
    with pytest.raises(Exception, match="No matching keys"):
        decrypt(path.read_bytes(), [keys[2]])
    assert {p.name for p in (run_folder / "packs").iterdir()} == {
        path.name,
        "log.jsonl",
        f"{path.name[:11]}.csv",
    }


def test_the_log_says_what_a_lost_pack_held(run_folder, area):
    said = make_pack(settings_for(run_folder, area))
    assert "PLAIN" in said
    packs = run_folder / "packs"
    (line,) = [json.loads(text) for text in (packs / "log.jsonl").read_text().splitlines()]
    folder = packs / line["pack_id"]
    assert line["team"] == "Team Ganga"
    assert line["expires"] == "2027-01-21"
    assert line["plain"] is True
    assert set(line["files"]) == {path.name for path in folder.iterdir()}
    held = PackRegister(run_folder).sites()
    assert list(held["site_id"]) == sites_of(packs)
    assert line["n_sites"] == len(held) == 22
    assert (held["random_probability"] == 1).all()
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    for path, mode in ((packs, 0o700), (packs / "log.jsonl", 0o600), (folder, 0o700)):
        assert stat.S_IMODE(path.stat().st_mode) == mode
    assert "report" not in (packs / "log.jsonl").read_text().lower()
    (packs / f"{line['pack_id']}.csv").unlink()
    assert PackRegister(run_folder).sites().empty, "an operator may delete what is past its day"


def test_a_pack_has_the_sites_of_the_area_in_the_teams_order(survey, run_folder, area):
    make_pack(settings_for(run_folder, area))
    ranked = survey.sites.sort_values("rank")
    inside = shapely.intersects_xy(AREA, ranked["lon"], ranked["lat"])
    assert sites_of(run_folder / "packs") == list(ranked["site_id"][inside])


def test_no_report_moves_a_byte_of_a_pack(survey, area, tmp_path):
    """Selection and order, too: the same imagery under other reports gives the same files."""
    heard = make_survey(reporters=5.0)
    priority = PrioritySettings(list_size=200)
    packs = []
    for name, world in (("run", survey), ("other", heard)):
        folder = write_run(tmp_path / name, world, priority)
        out = tmp_path / f"{name}_out"
        make_pack(settings_for(folder, area, out=out))
        packs.append({path.name: path.read_bytes() for path in next(out.iterdir()).iterdir()})
    one, other = (
        pd.read_parquet(tmp_path / name / "priorities.parquet") for name in ("run", "other")
    )
    assert list(one["site_id"]) != list(other["site_id"]), "the operator's own order differs"
    assert packs[0].keys() == packs[1].keys()
    for name in packs[0]:
        assert packs[0][name] == packs[1][name], name


def test_a_short_list_is_the_teams_own(survey, area, tmp_path):
    folder = write_run(tmp_path / "run", survey, PrioritySettings(list_size=200))
    make_pack(settings_for(folder, area))
    held = PackRegister(folder).sites()
    table = pd.read_parquet(folder / "priorities.parquet")
    listed = table.dropna(subset=["team_place"]).sort_values("team_place")
    assert len(listed) == 200
    place = listed.set_index("site_id")["team_place"]
    assert 0 < len(held) < 22
    assert place[held["site_id"]].is_monotonic_increasing
    assert set(held["selection"]) == {"ranked", "random", "floor"}
    text = next(folder.glob("packs/KP-*/sites.csv")).read_text(encoding="utf-8-sig")
    assert "random" not in text, "a team cannot see which are which"


def test_reviewed_sites_only_unless_told(survey, area, tmp_path):
    folder = write_run(tmp_path / "run", survey, status="unreviewed")
    with pytest.raises(ConfigError, match=r"none of the \d+ sites .* --unreviewed"):
        make_pack(settings_for(folder, area))
    assert not (folder / "packs").exists()
    sites = read_table(folder / "sites.parquet", SITES)
    here = sites[shapely.intersects_xy(AREA, sites["lon"], sites["lat"])].index
    for status, at in (("confirmed", 0), ("rejected", 1), ("wrong_class", 2), ("unsure", 3)):
        sites.loc[here[at], "review_status"] = status
    write_table(sites, folder / "sites.parquet", SITES)
    make_pack(settings_for(folder, area, out=tmp_path / "sure"))
    assert sites_of(tmp_path / "sure") == [sites.loc[here[0], "site_id"]]
    make_pack(settings_for(folder, area, out=tmp_path / "all", unreviewed=True))
    never = {sites.loc[here[1], "site_id"], sites.loc[here[2], "site_id"]}
    assert set(sites_of(tmp_path / "all")) == set(sites.loc[here, "site_id"]) - never


def test_places_never_to_be_shown_are_in_no_pack(survey, area, tmp_path):
    own, more = tmp_path / "own.csv", tmp_path / "more.csv"
    folder = write_run(tmp_path / "run", survey, exclusions=str(own))
    write_exclusions(own, [])
    make_pack(settings_for(folder, area, out=tmp_path / "whole"))
    whole = sites_of(tmp_path / "whole")
    by_id = survey.sites.set_index("site_id")
    for path, site_id in ((own, whole[0]), (more, whole[5])):
        at = by_id.loc[site_id]
        write_exclusions(path, [Exclusion(lon=at["lon"], lat=at["lat"], radius_m=50)])
    make_pack(settings_for(folder, area, out=tmp_path / "less", exclusions=more))
    assert sites_of(tmp_path / "less") == [s for s in whole if s not in (whole[0], whole[5])]


def test_visited_places_are_in_no_later_pack(run_folder, area, tmp_path):
    make_pack(settings_for(run_folder, area, out=tmp_path / "first"))
    first = sites_of(tmp_path / "first")
    where = read_table(run_folder / "sites.parquet", SITES).set_index("site_id")
    rows = ["site_id,lon,lat,outcome,visited_on,team,note"]
    for site_id, outcome in zip(
        first, ("confirmed", "not_a_site", "closed", "unsafe", "not_reached"), strict=False
    ):
        at = where.loc[site_id]
        rows.append(f"{site_id},{at['lon']},{at['lat']},{outcome},2026-12,Team Ganga,")
    (run_folder / "outcomes.csv").write_text("\n".join(rows) + "\n")
    make_pack(settings_for(run_folder, area, out=tmp_path / "second"))
    assert sites_of(tmp_path / "second") == first[4:]


def test_pictures_come_from_the_runs_imagery_and_may_be_missing(run_folder, area, tmp_path):
    said = make_pack(settings_for(run_folder, area, out=tmp_path / "a"))
    page = next((tmp_path / "a").glob("KP-*/index.html")).read_text(encoding="utf-8")
    assert page.count("data:image/jpeg;base64,") > 5
    assert "sites have no picture" in said, "the scene shows a part of the area only"
    scene = next((tmp_path / "run_imagery").iterdir())
    scene.rename(tmp_path / scene.name)
    said = make_pack(settings_for(run_folder, area, out=tmp_path / "b"))
    assert "None of the run's imagery was found: the pack has no pictures" in said
    moved = (str(tmp_path / scene.name),)
    make_pack(settings_for(run_folder, area, out=tmp_path / "c", imagery=moved))
    again = next((tmp_path / "c").glob("KP-*/index.html")).read_text(encoding="utf-8")
    assert again == page


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"plain": False}, "nobody to encrypt for"),
        ({"plain": False, "to": ("age1nonsense",)}, "no public key of age"),
        ({"plain": False, "to": ("AGE-SECRET-KEY-1ABC",)}, "holds a secret key"),
        ({"plain": False, "to": ("missing.txt",)}, "neither a public key"),
        ({"to": ("age1x",)}, "exclude each other"),
        ({"expires": "2026-11-21"}, "is past: give a day after 2026-11-22"),
        ({"expires": "2028-01-01"}, "over a year ahead"),
        ({"contacts": "missing.toml"}, "cannot be read"),
        ({"font": "missing.ttf"}, "cannot be read"),
        ({"exclusions": "missing.csv"}, "missing.csv"),
        ({"outcomes": "missing.csv"}, "cannot be read"),
        ({"places": "missing.geojson"}, "is not there"),
    ],
)
def test_bad_input_is_one_sentence_and_nothing_is_written(run_folder, area, changes, sentence):
    with pytest.raises(KilnlightError, match=sentence):
        make_pack(settings_for(run_folder, area, **changes))
    assert not (run_folder / "packs").exists()


@pytest.mark.parametrize(
    ("polygon", "error", "sentence"),
    [
        (shapely.box(10, 10, 10.1, 10.1), RegionError, "outside the surveyed region"),
        (shapely.box(77.0, 28.0, 78.0, 28.9), RegionError, r"holds 9,\d+ km2"),
        (None, RegionError, "is not there"),
        (shapely.box(77.0001, 28.0001, 77.0002, 28.0002), ConfigError, "no site of the team's"),
    ],
)
def test_areas_that_do_not_do(run_folder, tmp_path, polygon, error, sentence):
    path = tmp_path / "other.geojson"
    if polygon is not None:
        write_area(path, polygon)
    with pytest.raises(error, match=sentence):
        make_pack(settings_for(run_folder, path))
    assert not (run_folder / "packs").exists()


def test_an_area_that_reaches_beyond_the_survey_is_said(run_folder, tmp_path):
    path = write_area(tmp_path / "edge.geojson", shapely.box(77.25, 28.7, 77.45, 29.0))
    assert "33% of the area was no part of the survey" in make_pack(settings_for(run_folder, path))


def test_a_pack_that_somebody_filled_in_is_not_written_over(run_folder, area):
    make_pack(settings_for(run_folder, area))
    make_pack(settings_for(run_folder, area))
    (folder,) = (run_folder / "packs").glob("KP-*/")
    filled = folder / "outcomes_to_fill.csv"
    filled.write_text("a day of visits")
    log = (run_folder / "packs" / "log.jsonl").read_bytes()
    for there in (filled, folder / "photo.jpg"):
        there.write_text("a day of visits")
        with pytest.raises(ConfigError, match=f"{filled.name} in it is another.*--out"):
            make_pack(settings_for(run_folder, area))
    assert filled.read_text() == "a day of visits"
    assert (run_folder / "packs" / "log.jsonl").read_bytes() == log


def test_what_a_killed_pack_left_in_the_open_is_deleted(run_folder, area):
    packs = run_folder / "packs"
    for name, age_s in ((".unfinished-old", 4000), (".unfinished-now", 10)):
        (packs / name).mkdir(parents=True)
        (packs / name / "sites.csv").write_text("places")
        then = time.time() - age_s
        os.utime(packs / name, (then, then))
    make_pack(settings_for(run_folder, area))
    assert {path.name for path in packs.glob(".*")} == {".unfinished-now"}


def test_what_an_earlier_survey_and_this_one_visited_both_stay_out(survey, area, tmp_path):
    older = tmp_path / "older.csv"
    folder = write_run(tmp_path / "run", survey, outcomes=str(older))
    ranked = survey.sites.sort_values("rank")
    here = ranked[shapely.intersects_xy(AREA, ranked["lon"], ranked["lat"])]
    paths = (older, folder / "outcomes.csv", tmp_path / "told.csv")
    for path, (_, at) in zip(paths, here.head(3).iterrows(), strict=True):
        path.write_text(
            "site_id,lon,lat,outcome,visited_on,team,note\n"
            f"{at['site_id']},{at['lon']},{at['lat']},confirmed,2026-12,,\n"
        )
    make_pack(settings_for(folder, area, out=tmp_path / "out", outcomes=paths[2]))
    assert sites_of(tmp_path / "out") == list(here["site_id"][3:])


def test_a_pack_that_fails_on_the_way_leaves_nothing(run_folder, area, monkeypatch):
    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr("maps.packs.contents.write_cards", fail)
    with pytest.raises(OSError, match="disk full"):
        make_pack(settings_for(run_folder, area))
    assert list((run_folder / "packs").iterdir()) == []


def test_contacts_are_those_of_the_country(run_folder, area, tmp_path):
    contacts = tmp_path / "contacts.toml"
    contacts.write_text(
        '[[countries.IN]]\nname = "Helpline"\nphone = "1098"\n'
        '[[countries.NP]]\nname = "Other line"\n'
    )
    with pytest.raises(ConfigError, match=r"has no contact for the country .* IN, NP"):
        make_pack(settings_for(run_folder, area, contacts=contacts))
    out = tmp_path / "out"
    make_pack(settings_for(run_folder, area, contacts=contacts, country="NP", out=out))
    page = next(out.glob("KP-*/index.html")).read_text(encoding="utf-8")
    assert "Other line" in page
    assert "1098" not in page


def test_a_folder_that_is_no_run_is_one_sentence(area, tmp_path):
    with pytest.raises(RunFolderError, match="holds no run"):
        make_pack(settings_for(tmp_path / "nothing", area))


def test_from_the_command_line(run_folder, area, tmp_path):
    key = str(x25519.Identity.generate().to_public())
    asked = ["pack", str(run_folder), "--team", "Team Ganga", "--area", str(area)]
    out = ["--language", "hi", "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(app, [*asked, "--to", key, *out])
    assert done.exit_code == 0, done.exception
    assert done.stdout.startswith("Pack KP-")
    assert [path.suffix for path in (tmp_path / "out").iterdir()] == [".age"]
    for wrong, sentence in (
        (["--language", "xx"], "--language 'xx': input should be"),
        (["--expires", "soon"], "--expires 'soon': input should be a valid date"),
        (["--country", "India"], "--country 'India': string should match"),
        (["--team", "  "], "--team '  ': value error, the name is empty"),
    ):
        done = CliRunner().invoke(app, [*asked, "--plain", *wrong])
        assert isinstance(done.exception, ConfigError), wrong
        assert str(done.exception).startswith(sentence)
