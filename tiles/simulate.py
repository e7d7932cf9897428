"""A made-up brick belt with known kilns, for the demo, tests, benchmarks and detector training."""

import csv
import io
import json
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from pyproj import Geod, Transformer

from tiles.errors import SimulationError
from tiles.files import write_text
from tiles.simulation.dress import Kiln
from tiles.simulation.patch import Patch, simulate_patch
from tiles.simulation.plan import BeltPlan, PlantedCluster, Points, plan_belt
from tiles.simulation.reports import ReportRow, reports_cluster, simulate_reports
from tiles.simulation.scenes import ground_crs, scene_specs, write_scene
from tiles.simulation.settings import BeltSettings

__all__ = ["Belt", "BeltSettings", "Patch", "simulate_belt", "simulate_patch"]

REPORT_COLUMNS = ("consent", "reporter", "lat", "lon", "month", "industry")
EDGE_POINTS = 24  # on each side of the region: a side straight in metres bends in degrees
CIRCLE_POINTS = 48  # of a planted cluster's outline
DEGREE_DIGITS = 7  # 1 cm
GEOD = Geod(ellps="WGS84")

Feature = dict[str, Any]  # one GeoJSON feature


@dataclass(frozen=True)
class Belt:
    """The files of a made-up belt.

    Attributes:
        scenes: Western and eastern GeoTIFF, in two UTM zones where the centre lies between two.
        region: GeoJSON polygon, EPSG:4326.
        truth_kilns: GeoJSON of every kiln: its oriented box, and as properties kiln_id, kind, lon,
            lat, length_m, width_m, azimuth_deg (long axis, clockwise from true north, [0, 180)),
            cluster_id (or null) and observable (some scene shows its centre and corners).
        truth_clusters: GeoJSON discs: cluster_id, of ("kilns" or "reports"), lon, lat, radius_m
            and count (kilns, or people who report).
        reports: CSV with the columns consent, reporter, lat, lon, month, industry.
        n_kilns: All of them.
        n_observable: Those that can be found.
    """

    scenes: tuple[Path, Path]
    region: Path
    truth_kilns: Path
    truth_clusters: Path
    reports: Path
    n_kilns: int
    n_observable: int


def simulate_belt(settings: BeltSettings, out_dir: Path, processes: int = 2) -> Belt:
    """Write a belt's two scenes, its truth and its reports into a folder.

    Same settings, same bytes, whatever `processes` is. With 2 processes call it from a module that
    can be imported (the workers are spawned).

    Args:
        settings: What to simulate.
        out_dir: Made if it is not there; files of the same names are replaced.
        processes: 1 paints both scenes here, 2 paints them side by side.

    Raises:
        SimulationError: Where the kilns do not fit, or the folder cannot be made.
    """
    if processes < 1:
        raise SimulationError(f"processes={processes} is too few: use 1 or 2.")
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SimulationError(
            f"The folder {out_dir} cannot be made ({error.strerror}): choose another."
        ) from error
    plan = plan_belt(settings)
    specs = scene_specs(settings)
    scenes = (out_dir / specs[0].file_name, out_dir / specs[1].file_name)
    if processes == 1:
        for spec, path in zip(specs, scenes, strict=True):
            write_scene(plan, spec, path)
    else:
        with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
            list(pool.map(_write_numbered, [settings] * 2, range(2), scenes))
    observable = observable_kilns(plan)
    belt = Belt(
        scenes,
        out_dir / "region.geojson",
        out_dir / "truth_kilns.geojson",
        out_dir / "truth_clusters.geojson",
        out_dir / "reports.csv",
        n_kilns=len(plan.kilns),
        n_observable=sum(observable),
    )
    _write_truth(plan, belt, observable)
    return belt


def _write_numbered(settings: BeltSettings, number: int, path: Path) -> None:
    """Paint one scene in a worker; planning again is quicker than sending the plan."""
    write_scene(plan_belt(settings), scene_specs(settings)[number], path)


def observable_kilns(plan: BeltPlan) -> list[bool]:
    """Say of each kiln whether one scene shows its centre and all four corners."""
    points = np.array([[(k.x_m, k.y_m), *_corners_m(k)] for k in plan.kilns])  # (n, 5, 2)
    seen = np.zeros(len(points), np.bool_)
    for spec in scene_specs(plan.settings):
        seen |= spec.shows(points.reshape(-1, 2)).reshape(len(points), 5).all(axis=1)
    return [bool(value) for value in seen]


# --- the files of the truth -----------------------------------------------------------------------


def _write_truth(plan: BeltPlan, belt: Belt, observable: Sequence[bool]) -> None:
    place = _Place(plan)
    half = plan.settings.half_m
    along = np.linspace(-half, half, EDGE_POINTS + 1)[:-1]
    edge = np.full_like(along, half)
    ring = np.concatenate(
        [
            np.column_stack([along, -edge]),
            np.column_stack([edge, along]),
            np.column_stack([-along, edge]),
            np.column_stack([-edge, -along]),
        ]
    )
    region = _feature(place.ring(ring), {"name": "made-up brick belt"})
    _write_features(belt.region, [region])
    rows = zip(plan.kilns, plan.cluster_ids, observable, strict=True)
    kilns = [place.kiln(n, *row) for n, row in enumerate(rows, start=1)]
    _write_features(belt.truth_kilns, kilns)
    reports = simulate_reports(plan)
    _write_features(belt.truth_clusters, _cluster_features(plan, reports, place))
    write_text(belt.reports, _reports_csv(reports, place))


class _Place:
    """Turns ground metres into longitude and latitude."""

    def __init__(self, plan: BeltPlan) -> None:
        self._to_lonlat = Transformer.from_crs(ground_crs(plan.settings), 4326, always_xy=True)

    def lonlat(self, points: Points) -> list[list[float]]:
        """Return [lon, lat] of each of the points (n, 2)."""
        lon, lat = self._to_lonlat.transform(points[:, 0], points[:, 1])
        return [
            [round(float(x), DEGREE_DIGITS), round(float(y), DEGREE_DIGITS)]
            for x, y in zip(lon, lat, strict=True)
        ]

    def ring(self, points: Points) -> list[list[float]]:
        """Return the closed ring through points (n, 2)."""
        ring = self.lonlat(points)
        return [*ring, ring[0]]

    def kiln(self, number: int, kiln: Kiln, cluster_id: str | None, observable: bool) -> Feature:
        """Return a kiln of the truth: its oriented box and its figures."""
        half = kiln.length_m / 2 * np.array([np.cos(kiln.angle_rad), np.sin(kiln.angle_rad)])
        centre = np.array([kiln.x_m, kiln.y_m])
        (lon, lat), start, end = self.lonlat(np.array([centre, centre - half, centre + half]))
        azimuth = GEOD.inv(start[0], start[1], end[0], end[1])[0] % 180
        properties = {
            "kiln_id": f"T{number:05d}",
            "kind": kiln.kind,
            "lon": lon,
            "lat": lat,
            "length_m": kiln.length_m,
            "width_m": kiln.width_m,
            "azimuth_deg": round(azimuth, 2) % 180,
            "cluster_id": cluster_id,
            "observable": observable,
        }
        return _feature(self.ring(np.array(_corners_m(kiln))), properties)


def _corners_m(kiln: Kiln) -> list[tuple[float, float]]:
    """Return the corners of a kiln's box in ground metres, anticlockwise."""
    cos, sin = np.cos(kiln.angle_rad), np.sin(kiln.angle_rad)
    corners = []
    for u, v in ((-1, -1), (1, -1), (1, 1), (-1, 1)):
        along, across = u * kiln.length_m / 2, v * kiln.width_m / 2
        x = kiln.x_m + along * cos - across * sin
        corners.append((float(x), float(kiln.y_m + along * sin + across * cos)))
    return corners


def _cluster_features(plan: BeltPlan, reports: Sequence[ReportRow], place: _Place) -> list[Feature]:
    kilns = np.array([(kiln.x_m, kiln.y_m) for kiln in plan.kilns])
    features = [
        _disc(cluster, "kilns", int(cluster.holds(kilns).sum()), place) for cluster in plan.clusters
    ]
    heard = reports_cluster(plan)
    inside = heard.holds(np.array([(row.x_m, row.y_m) for row in reports]))
    people = {row.reporter for row, near in zip(reports, inside, strict=True) if near}
    return [*features, _disc(heard, "reports", len(people), place)]


def _disc(cluster: PlantedCluster, of: str, count: int, place: _Place) -> Feature:
    around = np.linspace(0, 2 * np.pi, CIRCLE_POINTS, endpoint=False)
    centre = np.array([[cluster.x_m, cluster.y_m]])
    outline = centre + cluster.radius_m * np.column_stack([np.cos(around), np.sin(around)])
    ((lon, lat),) = place.lonlat(centre)
    properties = {
        "cluster_id": cluster.cluster_id,
        "of": of,
        "lon": lon,
        "lat": lat,
        "radius_m": round(cluster.radius_m, 1),
        "count": count,
    }
    return _feature(place.ring(outline), properties)


def _feature(ring: list[list[float]], properties: dict[str, object]) -> Feature:
    geometry = {"type": "Polygon", "coordinates": [ring]}
    return {"type": "Feature", "geometry": geometry, "properties": properties}


def _write_features(path: Path, features: Sequence[Feature]) -> None:
    """Write GeoJSON (RFC 7946: WGS 84 longitude and latitude), a feature a line."""
    lines = ",\n".join(json.dumps(feature) for feature in features)
    write_text(path, f'{{"type": "FeatureCollection", "features": [\n{lines}\n]}}\n')


def _reports_csv(reports: Sequence[ReportRow], place: _Place) -> str:
    places = place.lonlat(np.array([(row.x_m, row.y_m) for row in reports]))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(REPORT_COLUMNS)
    for row, (lon, lat) in zip(reports, places, strict=True):
        figures = (f"{lat:.5f}", f"{lon:.5f}")  # a metre: as a phone says it
        writer.writerow((row.consent, row.reporter, *figures, row.month, row.industry))
    return text.getvalue()
