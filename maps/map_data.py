"""From tables to the block of data that map.html draws: cells, figures and sites as numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd
from pyproj.enums import TransformDirection

from maps.cell_code import cell_keys, cells_of_groups, encode_cells, encode_groups
from maps.facts import Tier
from maps.figures import per_cent, shown_figures
from maps.hotspots import LEAST_SEARCHED_SHARE
from maps.layers import PATTERNS, Theme, themes
from maps.linking import SQUARE_M
from maps.map_block import (
    ClassBlock,
    FiguresBlock,
    MapBlock,
    PeriodBlock,
    SitesBlock,
    ThemeBlock,
)
from maps.short_text import pack, unpack
from tiles.cells import GRID_NORTH_M, GRID_WEST_M, to_equal_area
from tiles.errors import PublishError

DIGITS = ("hotspot", "evidence", "little")  # columns of figures below ten, written as one text
STEP_M = 2.5  # of sites' positions, rounded down; a tenth of the square that names a site


@dataclass(frozen=True)
class LonLatArrays:
    """Longitudes and latitudes in degrees, arrays of one length."""

    lon: npt.NDArray[np.float64]
    lat: npt.NDArray[np.float64]


@dataclass(frozen=True)
class MapSurvey:
    """One survey as the map shows it: one period of the slider."""

    groups: gpd.GeoDataFrame
    """A GROUPS table."""
    cells: pd.DataFrame
    """What `expected_by_cell` returns: which cells were surveyed, and how much of each."""


def map_block(
    surveys: Sequence[MapSurvey], tier: Tier, sites: pd.DataFrame | None = None
) -> MapBlock:
    """Put surveys of one region into numbers.

    Args:
        surveys: one a period, the newest last; the same groups in each.
        tier: whom the map is for.
        sites: single sites with site_id, lon, lat, p_site and kind; partner tier only.

    Raises:
        PublishError: surveys are of other groups, or single sites are meant for the public.
    """
    if sites is not None and tier != "partner":
        raise PublishError("single sites belong into the partner tier: leave them out of this one.")
    newest = surveys[-1].groups
    for survey in surveys:
        if list(survey.groups["group_id"]) != list(newest["group_id"]):
            raise PublishError(
                f"the survey of {survey.groups['period'].iloc[0]} has other groups than that of "
                f"{newest['period'].iloc[0]}: make both with the same partition."
            )
    drawn = [themes(survey.groups) for survey in surveys]
    return MapBlock(
        format=1,
        tier=tier,
        cell_m=5000,
        group_ids=tuple(str(name) for name in newest["group_id"]),
        cells=tuple(encode_groups(cells_of_groups(newest))),
        themes=_legends(drawn),
        patterns={str(name): path for name, path in PATTERNS.items()},
        periods=tuple(_period(*pair) for pair in zip(surveys, drawn, strict=True)),
        sites=None if sites is None else _sites(sites),
    )


def _legends(drawn: Sequence[Sequence[Theme]]) -> tuple[ThemeBlock, ...]:
    """Every theme that some period has, in the order in which they first come."""
    known = {theme.key: theme for found in drawn for theme in found}
    return tuple(
        ThemeBlock(
            key=theme.key,
            classes=tuple(
                ClassBlock.model_validate(
                    {
                        "key": line.key,
                        "values": dict(line.values),
                        "fill": line.fill,
                        "ink": line.ink,
                        "pattern": line.pattern,
                    }
                )
                for line in theme.classes
            ),
        )
        for theme in known.values()
    )


def figures_block(groups: pd.DataFrame) -> FiguresBlock:
    """Put the figures of a GROUPS table into columns of whole numbers."""
    columns: dict[str, Any] = {
        str(name): _digits(values) if name in DIGITS else _numbers(values)
        for name, values in shown_figures(groups).items()
    }
    return FiguresBlock(**columns)


def class_digits(drawn: Sequence[Theme]) -> dict[str, str]:
    """Return the class of every group in each theme, one digit a group."""
    return {theme.key: "".join(map(str, theme.group_classes)) for theme in drawn}


def _period(survey: MapSurvey, drawn: Sequence[Theme]) -> PeriodBlock:
    hardly = survey.cells["searched_km2"] < LEAST_SEARCHED_SHARE * survey.cells["area_km2"]
    return PeriodBlock(
        period=str(survey.groups["period"].iloc[0]),
        figures=figures_block(survey.groups),
        classes=class_digits(drawn),
        surveyed=tuple(encode_cells(cell_keys(list(survey.cells["cell_id"])))),
        gaps=tuple(encode_cells(cell_keys(list(survey.cells.loc[hardly, "cell_id"])))),
    )


def _digits(values: pd.Series) -> str:
    return "".join(str(int(value)) for value in values)


def _numbers(values: pd.Series) -> tuple[int | None, ...]:
    plain: list[int | None] = values.astype(object).where(values.notna(), None).tolist()
    return tuple(plain)


def _sites(sites: pd.DataFrame) -> SitesBlock:
    """Whole steps, rounded down, so that the 25 m square and the name made of it stay the same.

    In the order of bands of 25 m from north to south, and from west to east in each, differences
    are short.
    """
    x_m, y_m = to_equal_area().transform(sites["lon"].to_numpy(), sites["lat"].to_numpy())
    east = np.floor((np.asarray(x_m) - GRID_WEST_M) / STEP_M).astype(np.int64)
    south = np.floor((GRID_NORTH_M - np.asarray(y_m)) / STEP_M).astype(np.int64)
    nth = np.array([_nth(str(name)) for name in sites["site_id"]], dtype=np.int64)
    order = np.lexsort((nth, east, south // round(SQUARE_M / STEP_M)))
    kinds = sorted(set(sites["kind"]))
    numbers = sites["kind"].map({kind: number for number, kind in enumerate(kinds)}).to_numpy()
    shown = nth[order]
    return SitesBlock(
        south=pack(np.diff(south[order], prepend=0)),
        east=pack(np.diff(east[order], prepend=0)),
        p=pack(per_cent(sites["p_site"].to_numpy(float))[order]),
        kind="".join(map(str, numbers[order])),
        kinds=tuple(kinds),
        second={str(at): int(shown[at]) for at in np.flatnonzero(shown > 1)},
    )


def _nth(site_id: str) -> int:
    """Number of a site among those of its square: 2 in KL-0123456AB-2."""
    _, _, rest = site_id.partition("-")
    _, _, nth = rest.partition("-")
    return int(nth or 1)


def decode_sites(block: SitesBlock) -> LonLatArrays:
    """Return where the sites of a block lie, to 1.3 m along each axis."""
    x_m = GRID_WEST_M + (np.cumsum(unpack(block.east)) + 0.5) * STEP_M
    y_m = GRID_NORTH_M - (np.cumsum(unpack(block.south)) + 0.5) * STEP_M
    lon, lat = to_equal_area().transform(x_m, y_m, direction=TransformDirection.INVERSE)
    return LonLatArrays(np.asarray(lon), np.asarray(lat))
