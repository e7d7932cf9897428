"""What a task gave, packed into a few kilobytes: it travels to the client and into the journal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import geopandas as gpd
import pandas as pd
import pyarrow as pa

from models.detection import DETECTIONS
from tiles.ground import CellSpan, cells_of_window, pack_ground, window_of
from tiles.tables import from_arrow, to_arrow

if TYPE_CHECKING:
    from pipeline.engine.search import BlockResult


@dataclass(frozen=True)
class Counts:
    """What a task says beside its tables; the sums over tasks do not depend on the cut.

    `read_s` and `network_s` are seconds that the worker waited for pixels, and computed.
    """

    found: int = 0
    area_km2: float = 0.0
    looked: int = 0
    unfamiliar: int = 0
    skipped_px: int = 0
    gated_px: int = 0
    read_s: float = 0.0
    network_s: float = 0.0


@dataclass(frozen=True)
class PackedResult:
    """A task's result as bytes.

    Attributes:
        detections: DETECTIONS rows as an Arrow stream; empty where nothing was found.
        ground: what `tiles.ground.pack_ground` made of the coverage.
        cells: the cells that the coverage lies in.
        counts: everything else.
    """

    detections: bytes
    ground: bytes
    cells: CellSpan
    counts: Counts


def pack_result(result: BlockResult) -> PackedResult:
    """Pack what one block gave."""
    window = window_of(result.ground)
    return PackedResult(
        detections=_stream(result.detections) if len(result.detections) else b"",
        ground=pack_ground(window),
        cells=cells_of_window(window),
        counts=Counts(
            found=len(result.detections),
            area_km2=result.area_km2,
            looked=result.looked,
            unfamiliar=result.unfamiliar,
            skipped_px=result.skipped_px,
            gated_px=result.gated_px,
            read_s=result.read_s,
            network_s=result.network_s,
        ),
    )


def _stream(detections: gpd.GeoDataFrame) -> bytes:
    table = to_arrow(detections, DETECTIONS)
    sink = pa.BufferOutputStream()
    # no schema metadata: the geo key would be repeated in every task
    with pa.ipc.new_stream(sink, table.schema.remove_metadata()) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def unpack_detections(parts: list[bytes]) -> gpd.GeoDataFrame:
    """One DETECTIONS table of the rows in all parts, in their order."""
    streams = [pa.ipc.open_stream(part).read_all() for part in parts if part]
    if not streams:
        return DETECTIONS.empty()
    frame = from_arrow(pa.concat_tables(streams))
    # a column whose values are all missing has no type of its own
    dates = dict.fromkeys(("date", "first_date", "last_date"), pd.Series([], dtype=object).dtype)
    return gpd.GeoDataFrame(frame.astype(dates))
