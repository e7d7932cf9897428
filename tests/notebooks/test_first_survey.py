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
from pipeline.demo import run_demo
from pipeline.progress import Screen
from tests.conftest import REPOSITORY
from tests.notebooks.execute import execute
from tiles.coverage import COVERAGE, SEARCHED
from tiles.noised_counts import NOISED_COUNTS
from tiles.tables import read_table, write_table

NOTEBOOK = REPOSITORY / "notebooks" / "01_first_survey.ipynb"
LARGEST_BYTES = 1_500_000
PNG = b"\x89PNG"


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    out = tmp_path_factory.mktemp("demo") / "demo"
    run_demo(out, side_km=12, seed=7, screen=Screen(quiet=True))
    return out


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


def test_prints_the_figures_of_the_tables(demo):
    made = execute(NOTEBOOK, demo)
    text = printed(made)
    sites = read_table(demo / "run/sites.parquet", SITES)
    hot = read_table(demo / "run/hotspots.parquet", HOTSPOTS)["hotspot_class"].isin(HOT_CLASSES)
    counts = read_table(demo / "noised_counts.parquet", NOISED_COUNTS)["count_noised"]
    groups = read_table(demo / "run/groups.parquet", GROUPS)
    coverage = read_table(demo / "run/coverage.parquet", COVERAGE)
    seen_km2 = coverage.loc[coverage["status"].isin(SEARCHED), "area_km2"].sum()

    assert len(sites) > 0
    assert figure_of(text, "Sites") == len(sites)
    assert figure_of(text, "Likely sites, p_site") == (sites["p_site"] >= 0.5).sum()
    assert figure_of(text, "Detections") == len(
        read_table(demo / "run/detections.parquet", DETECTIONS)
    )
    assert figure_of(text, "Hot cells") == hot.sum()
    assert figure_of(text, "Groups with a noised count") == len(counts)
    assert figure_of(text, "Counts that are negative") == (counts < 0).sum()
    assert figure_of(text, "Groups with a reporting rate") == groups["report_rate"].notna().sum()
    assert f"Looked at {seen_km2:,.0f} of {coverage['area_km2'].sum():,.0f} km²." in text
    assert str(demo) not in nbformat.writes(made)
    ranked = tables(made)[-1]
    assert all(reason in ranked for reason in sites["reason"].head(8))
    assert all(
        f"| {group_id} |" in tables(made)[1]
        for group_id in read_table(demo / "noised_counts.parquet", NOISED_COUNTS)["group_id"]
    )


def test_says_real_kilns_as_the_demo_itself_does(demo):
    """The demo's own comparison matches the likely sites alone; it must come to the same."""
    import geopandas as gpd

    from models.evaluation import match, places_from_lonlat

    sites = read_table(demo / "run/sites.parquet", SITES)
    likely = sites[sites["p_site"] >= 0.5]
    kilns = gpd.read_file(demo / "input/truth_kilns.geojson")
    seen = kilns["observable"].astype(bool)
    places = [
        places_from_lonlat(table["lon"].to_numpy(float), table["lat"].to_numpy(float))
        for table in (likely, kilns[seen], kilns[~seen])
    ]
    hits = match(places[0], likely["p_site"].to_numpy(), places[1], places[2], 100.0).hit
    text = printed(execute(NOTEBOOK, demo))
    assert f"Likely sites that are real kilns: {hits.sum()} of {len(hits)} " in text


def test_works_where_nothing_was_found_or_released(demo, tmp_path):
    bare = shutil.copytree(demo, tmp_path / "bare")
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
