"""Published kiln positions with made-up reports: what the evidence says of five Indian states.

    python -m tests.benchmarks.published_reports OUT

takes what `tests.benchmarks.published_positions` left in OUT. Positions are real, taken as if whole
and all ground searched; **reports are made up** as in tests/maps/worlds.py, so that what was put in
can be compared with what comes out. No figure of it says anything about the states.
"""

import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import shapely

from maps.evidence import group_evidence
from maps.expected import Recall, expected_by_cell
from maps.hotspots import HOTSPOTS
from maps.reporting import Release
from models.site_class import load_site_class
from tests.maps.worlds import laplace
from tiles.cells import Cell, CellGrid
from tiles.listed import read_listed
from tiles.partition import REST, Rule, build_partition
from tiles.region import read_region
from tiles.tables import read_table

EPSILON = 1.0
MEAN_RATES = (0.1, 0.3, 1.0)  # reporters a site
SD_LOG_RATE = 0.9  # how freely people speak differs (worlds.py)
SITES_A_GROUP = (5, 25)  # the usual rule of the partition, and a coarser one
SMOOTH_SHARE = 0.8  # of the variance of the log rate: alike between neighbours
WAVE_KM = 250.0  # from one crest of the smooth part to the next
SEED = 2211


def made_up_rates(rng: np.random.Generator, partition: pd.DataFrame, mean: float) -> np.ndarray:
    """Reporters a site of each group: waves over the country, and a part of each group's own."""
    middles = [
        np.mean([[Cell.parse(i).col * 5.0, Cell.parse(i).row * 5.0] for i in ids], axis=0)
        for ids in partition["cell_ids"]
    ]
    angle, phase = rng.uniform(0, 2 * np.pi, (2, 12))
    waves = np.array(middles) @ np.array([np.cos(angle), np.sin(angle)]) * 2 * np.pi / WAVE_KM
    smooth = np.cos(waves + phase).sum(axis=1) / np.sqrt(6)  # variance 1
    own = rng.normal(size=len(partition))
    log_rate = np.sqrt(SMOOTH_SHARE) * smooth + np.sqrt(1 - SMOOTH_SHARE) * own
    return mean * np.exp(SD_LOG_RATE * log_rate - SD_LOG_RATE**2 / 2)


@dataclass(frozen=True)
class Listed:
    """The open list as a survey of all ground."""

    sites: pd.DataFrame
    ground: pd.DataFrame
    cells: pd.DataFrame
    hotspots: pd.DataFrame

    @classmethod
    def read(cls, out: Path) -> "Listed":
        """Read what the other benchmark left."""
        kilns, region = load_site_class("brick_kiln"), read_region(out / "states.geojson")
        ground = CellGrid().cells_of(region.polygon)
        listed = read_listed(out / "open.csv", 1.0, kilns.merge_radius_m)
        sites = listed.assign(p_site=1.0, p_low=1.0, p_high=1.0)
        shapely.prepare(region.polygon)
        inside = shapely.contains_xy(region.polygon, sites["lon"], sites["lat"])
        sites = sites[inside & sites["cell_id"].isin(ground["cell_id"])]
        coverage = ground[["cell_id", "area_km2"]].assign(status="searched")
        cells = expected_by_cell(sites, coverage, Recall(1.0, 1.0, 1.0), kilns)
        return cls(sites, ground, cells, read_table(out / "open/hotspots.parquet", HOTSPOTS))


def evidence(listed: Listed, partition: pd.DataFrame, mean_rate: float) -> str:
    """Add made-up reports, and say what the groups' table holds."""
    rng = np.random.default_rng(SEED)
    rate = made_up_rates(rng, partition, mean_rate)
    group = partition["cell_ids"].explode().reset_index().set_index("cell_ids")["index"]
    sites = np.bincount(group[listed.sites["cell_id"]], minlength=len(partition))
    reporters = rng.poisson(rate * sites)
    noised = pd.Series(reporters + laplace(rng, EPSILON, reporters), index=partition["group_id"])
    release = Release("made-up", noised.drop(REST, errors="ignore"), 1 / EPSILON, EPSILON)
    groups = group_evidence(listed.cells, listed.hotspots, partition, "undated", release)
    found = groups["evidence_class"].value_counts()
    words = ", ".join(f"{name} {number}" for name, number in found.items())
    said = groups["report_rate"].notna().to_numpy()
    if not said.any():
        return f"{reporters.sum():,} reporters; {words}; no group has a rate"
    held = groups["report_rate_low"].le(rate) & groups["report_rate_high"].ge(rate)
    plain = noised.to_numpy()[said] / sites[said]
    errors = [np.sqrt(np.mean((x - rate[said]) ** 2)) for x in (groups["report_rate"][said], plain)]
    return (
        f"{reporters.sum():,} reporters; {words}; {said.sum()} groups have a rate, 90 % intervals "
        f"held {held[said].mean():.2f}, RMSE {errors[0] / errors[1]:.2f} of count over sites"
    )


def main() -> None:
    """Do it, and say how long it took."""
    started = time.perf_counter()
    listed = Listed.read(Path(sys.argv[1]))
    for k in SITES_A_GROUP:
        partition = build_partition(listed.sites, listed.ground, Rule(k=k))
        print(f"groups of {k} sites and more: {len(partition):,}, {len(listed.sites):,} places")
        for mean_rate in MEAN_RATES:
            print(f"  {mean_rate} reporters a site: {evidence(listed, partition, mean_rate)}")
    print(f"{time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
