"""From the journal to the tables: the order in which results came leaves no trace."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import geopandas as gpd
import shapely

from models.detection import DETECTIONS
from pipeline.engine.journal import Failure, Journal
from pipeline.engine.results import unpack_detections
from tiles.coverage import COVERAGE, SEARCHED, STATUSES, sample_ground
from tiles.coverage_map import CoverageMap, coverage_of
from tiles.errors import NothingSearchedError
from tiles.ground import GROUND, CellSpan, GroundWindow, unpack_ground
from tiles.region import Region
from tiles.scene import Scene
from tiles.tables import write_table

FAILED = STATUSES.index("failed")
NOTHING_USABLE = (
    "every pixel is nodata or under cloud; number types other than uint8 must hold reflectance, "
    "as uint16 times 10,000 or as a fraction: look at the imagery, name what it is with --sensor, "
    "or give imagery of other dates."
)


def write_tables(
    journal: Journal,
    scenes: Sequence[Scene],
    unseen: CoverageMap,
    region: Region,
    period: str,
    folder: Path,
) -> None:
    """Write detections, coverage and ground of all tasks that are done.

    Args:
        journal: holds the results.
        scenes: of the catalogue, by the number that tasks know them by.
        unseen: ground of which something is known that no task looked at.
        region: what counts.
        period: months, for the coverage.
        folder: the run folder.

    Raises:
        NothingSearchedError: no pixel of the region could be searched.
    """
    failures = journal.failures()
    for failure in failures:
        unseen.add(sample_ground(scenes[failure.task.scene], failure.task.block, FAILED))

    def windows_within(span: CellSpan) -> Iterator[GroundWindow]:
        yield from (unpack_ground(packed) for packed in journal.grounds(span))
        yield from unseen.within(span)

    tables = coverage_of(region, period, windows_within)
    if not tables.coverage["status"].isin(SEARCHED).any():
        raise NothingSearchedError(f"nothing in the region could be searched: {_why(failures)}")
    write_table(_within(journal.detections(), region), folder / "detections.parquet", DETECTIONS)
    write_table(tables.coverage, folder / "coverage.parquet", COVERAGE)
    write_table(tables.ground, folder / "ground.parquet", GROUND)


def _why(failures: Sequence[Failure]) -> str:
    return min((failure.reason for failure in failures), default=NOTHING_USABLE)


def _within(parts: list[bytes], region: Region) -> gpd.GeoDataFrame:
    """All detections inside the region, by scene, row and column."""
    frame = unpack_detections(parts)
    shapely.prepare(region.polygon)
    frame = frame[shapely.contains_xy(region.polygon, frame["lon"], frame["lat"])]
    return frame.sort_values(["scene_id", "peak_row", "peak_col"], ignore_index=True)
