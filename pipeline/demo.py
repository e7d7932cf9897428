"""The demo: a made-up belt through the whole pipeline, and what came out against what is true."""

import shutil
import time
from pathlib import Path

import geopandas as gpd
import numpy as np
import shapely

from maps.expected import COUNTED_FROM
from maps.hotspots import HOT_CLASSES
from models.judging.evaluation import Places, match, places_from_lonlat
from pipeline.config import RunSettings
from pipeline.engine.progress import Screen
from pipeline.partitions import PartitionSettings, make_partition
from pipeline.reports.release import release_counts
from pipeline.reports.settings import ReleaseSettings
from pipeline.run import run
from pipeline.summary import RunSummary
from tiles.cells import cell_polygons
from tiles.errors import RunFolderError
from tiles.files import write_text
from tiles.partition import REST
from tiles.region import Period
from tiles.simulate import Belt, BeltSettings, simulate_belt

MARK = "THIS_IS_A_DEMO.txt"  # only a folder that holds it is ever replaced
PERIOD = "2025-11/2026-06"  # the firing season that the made-up reports speak of
CREDIT = "Made-up imagery: no satellite took it."


def run_demo(out: Path, side_km: float, seed: int, screen: Screen) -> str:
    """Simulate a belt, survey it, release its reports, map both, and compare with the truth.

    Raises:
        RunFolderError: `out` holds something other than an earlier demo.
        SimulationError: no belt of that size can be made.
    """
    started = time.perf_counter()
    settings = BeltSettings(side_km=side_km, seed=seed)
    _make_room(out)
    screen.say(f"Simulating {side_km:g} x {side_km:g} km of brick belt ...")
    belt = simulate_belt(settings, out / "input")
    survey = RunSettings(
        imagery=tuple(str(scene) for scene in belt.scenes),
        region=belt.region,
        name="a made-up brick belt",
        period=PERIOD,
        out=out / "run",
        imagery_credit=CREDIT,
        simulated=True,
    )
    screen.say("Surveying it (imagery to detections, coverage, sites, hotspots) ...")
    run(survey, screen)
    partition, counts = out / "partition.parquet", out / "noised_counts.parquet"
    screen.say(make_partition(PartitionSettings(run_folder=survey.out, out=partition)))
    screen.say("Releasing the made-up reports as noised counts on those groups ...")
    release_counts(
        ReleaseSettings(
            reports=belt.reports,
            partition=partition,
            period=Period.parse(PERIOD),
            ledger=out / "ledger.jsonl",
            output=counts,
        )
    )
    summary = run(
        survey.model_copy(update={"partition": partition, "noised_counts": counts}), screen
    )
    took = f"Everything after the install took {time.perf_counter() - started:.0f} s."
    return "\n".join([summary.text(), "", *compare(summary, belt), took])


def _make_room(out: Path) -> None:
    """Replace an earlier demo, and nothing else."""
    if out.exists():
        if not (out / MARK).is_file() and (not out.is_dir() or any(out.iterdir())):
            raise RunFolderError(f"{out} holds other files: choose an empty --out for the demo.")
        shutil.rmtree(out)
    write_text(out / MARK, "Everything here is made up; the next demo replaces this folder.\n")


def compare(summary: RunSummary, belt: Belt) -> list[str]:
    """Say how what was found compares with what was simulated, in lines for a person."""
    kilns = gpd.read_file(belt.truth_kilns)
    clusters = gpd.read_file(belt.truth_clusters)
    lines = ["Against the truth of this simulation (real imagery is harder):"]
    lines.append(_kilns_found(summary, kilns))
    total = summary.maps.expected
    lines.append(
        f"  kilns expected in the whole region: {total.mean:,.0f} (90 % interval {total.low:,.0f} "
        f"to {total.high:,.0f}); there are {len(kilns)}"
    )
    planted = clusters[clusters["of"] == "kilns"]
    hot = summary.maps.hotspots[summary.maps.hotspots["hotspot_class"].isin(HOT_CLASSES)]
    hot_ground = shapely.union_all(cell_polygons(list(hot["cell_id"])).to_numpy())
    found = int(planted.geometry.intersects(hot_ground).sum())
    lines.append(f"  clusters of kilns: {found} of {len(planted)} planted ones lie in hot cells")
    lines.append(_reports_found(summary, clusters[clusters["of"] == "reports"]))
    return lines


def _kilns_found(summary: RunSummary, kilns: gpd.GeoDataFrame) -> str:
    """One-to-one matching within the class's tolerance; kilns that no scene shows do not count."""
    sites = summary.maps.sites
    likely = sites[sites["p_site"] >= COUNTED_FROM]
    seen = kilns[kilns["observable"].astype(bool)]
    hidden = kilns[~kilns["observable"].astype(bool)]
    matches = match(
        _places(likely),
        likely["p_site"].to_numpy(),
        _places(seen),
        _places(hidden),
        summary.plan.site_class.match_tolerance_m,
    )
    false = int((~matches.hit).sum())
    return (
        f"  kilns: {int(matches.hit.sum())} of {len(seen)} that can be seen were found, {false} "
        f"detections are no kiln ({len(hidden)} more kilns lie under cloud or in gaps)"
    )


def _places(frame: gpd.GeoDataFrame) -> Places:
    return places_from_lonlat(frame["lon"].to_numpy(float), frame["lat"].to_numpy(float))


def _reports_found(summary: RunSummary, discs: gpd.GeoDataFrame) -> str:
    """Whether the group with the highest reporting rate touches the planted cluster of reports."""
    groups = summary.maps.groups
    groups = groups[(groups["group_id"] != REST) & groups["report_rate"].notna()]
    if groups.empty:
        return "  cluster of reports: too few to say in every group"
    top = groups.iloc[int(np.argmax(groups["report_rate"]))]
    found = bool(discs.geometry.intersects(top["geometry"]).any())
    return (
        f"  cluster of reports: {'found' if found else 'not found'} (the group with the highest "
        f"reporting rate {'touches' if found else 'does not touch'} it)"
    )
