"""A finished run and the parts of a pack, made up, for tests of packs and outcomes."""

import io
import json
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from affine import Affine
from PIL import Image

from maps.boundaries import Places
from maps.language import load_language
from maps.linking import SITES
from maps.packs.facts import Contact, PackFacts
from maps.packs.pictures import Chip, Chips
from maps.packs.rows import pack_rows, sites_in
from maps.priorities import PRIORITIES
from maps.record import SurveyRecord, write_record
from models.site_class import load_site_class
from pipeline.priorities import PrioritySettings, make_lists
from tests.made_up import noise, write_raster
from tests.maps.conftest import MadeUpSurvey
from tiles.tables import write_table

WEST, NORTH = 77.30, 28.75  # of the small scene, in the survey's northern cluster
AREA = shapely.box(77.33, 28.66, 77.37, 28.72)
KILNS = load_site_class("brick_kiln")


def facts_of(**changes: object) -> PackFacts:
    """Facts of a pack that nobody carries."""
    values: dict[str, object] = {
        "pack_id": "KP-0TEST0AB",
        "team": "Team Ganga",
        "made": "2026-11-22",
        "expires": "2027-01-21",
        "region_name": "Made-up brick belt",
        "site_class": KILNS,
        "imagery": "Made-up imagery: no satellite took it.",
        "area_km2": 432.0,
        "contacts": (Contact(name="Helpline", phone="1098", hours="day and night"),),
        "simulated": True,
    }
    return PackFacts(**(values | changes))


def places_of(*names: str) -> Places:
    """Named points in the area, from west to east."""
    lon = np.linspace(77.32, 77.38, len(names))
    return Places(tuple(names), lon, np.full(len(names), 28.69))


def rows_of(survey: MadeUpSurvey, code: str = "en", facts: PackFacts | None = None, **more):
    """Rows of a pack of the survey's sites in the area."""
    sites = survey.sites.rename(columns={"rank": "place"})
    chosen = sites_in(sites, AREA).head(more.get("count", 12))
    places = more.get("places", places_of("Rampur", "Sohna", "Kheri"))
    return pack_rows(chosen, facts or facts_of(), load_language(code), places)


def chips_of(rows: pd.DataFrame, leave_out: int = 1) -> Chips:
    """Grey noise for all sites but the last ones."""
    rng = np.random.default_rng(7)
    chips = {}
    for site_id in rows["site_id"].iloc[: len(rows) - leave_out]:
        image = Image.fromarray(rng.integers(60, 200, (96, 96, 3), dtype=np.uint8))
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=80)
        chips[site_id] = Chip(buffer.getvalue(), "2026-02-14")
    return Chips(chips, chips)


def write_run(
    folder: Path,
    survey: MadeUpSurvey,
    priority: PrioritySettings | None = None,
    status: str = "confirmed",
    **settings: object,
) -> Path:
    """Write what a pack needs of a run folder, with a scene of 8 x 8 km in the area's middle."""
    folder.mkdir(parents=True)
    sites = survey.sites.drop(columns=["rank", "priority", "reason", "size_fit", "hotspot_class"])
    lists = make_lists(
        sites.assign(review_status=status),
        survey.hotspots,
        survey.groups,
        survey.partition,
        KILNS,
        priority or PrioritySettings(),
    )
    write_table(lists.ranked, folder / "sites.parquet", SITES)
    write_table(lists.operator, folder / "priorities.parquet", PRIORITIES)
    step = 10 / 111_320
    across = step / np.cos(np.radians(NORTH))
    imagery = folder.parent / f"{folder.name}_imagery"
    imagery.mkdir()
    scene = write_raster(
        imagery / "scene_2026-02-14.tif",
        noise(800, 800),
        "EPSG:4326",
        Affine(across, 0, WEST, 0, -step, NORTH),
        tiled=True,
    )
    write_record(folder, SurveyRecord(facts=survey.facts, site_class=KILNS))
    run = {"imagery": [str(scene)], "out": str(folder), **settings}
    lines = [f"{key} = {json.dumps(value)}" for key, value in run.items()]
    (folder / "run.toml").write_text("\n".join(lines) + "\n")
    identity = {
        "region": {"wkb": shapely.to_wkb(survey.region.polygon, hex=True)},
        "site_class": KILNS.model_dump(mode="json"),
        "imagery": [{"scene_id": "scene_2026-02-14"}],
    }
    manifest = {"survey": identity, "files": {}}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def write_area(path: Path, polygon: shapely.Geometry = AREA) -> Path:
    """Write a team's area as GeoJSON."""
    gpd.GeoSeries([polygon], crs="EPSG:4326").to_file(path, driver="GeoJSON")
    return path
