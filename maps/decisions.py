"""The decision log: what was chosen on the way to the hotspots, and why, in plain words.

It speaks of the region as a whole, never of a place in it, so that anyone may read it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from maps.bands import LEAST_SITES, LONGEST_M, Band
from maps.expected import COUNTED_FROM
from maps.hotspots import HOT_CLASSES, LEAST_SEARCHED_SHARE, NOT_TESTED, band_of
from maps.stability import HALF, other_grids
from tiles.files import write_text

STEADY = 0.9  # of the other grids, as all but one of eleven


CORRECTED = {
    "model": "Sites that the detector missed are added by the recall of its weights, and those on "
    "ground not searched by the density around; both spread evenly over their 5 km cell.",
    "audit": "What an audit sample says of the sites found and of those missed replaces the recall "
    "of the weights; sites on ground not searched are added by the density around.",
    "list": "Nothing is added or taken away.",
}


@dataclass(frozen=True)
class Decision:
    """One choice: what it is about, what was chosen, and why."""

    about: str
    text: str


def hotspot_decisions(hotspots: pd.DataFrame, cells: pd.DataFrame) -> list[Decision]:
    """Say how the hotspots came about.

    Args:
        hotspots: a HOTSPOTS table with its stability.
        cells: the table of `expected_by_cell` that it was made from.
    """
    tested = hotspots[hotspots["hotspot_class"] != NOT_TESTED]
    hot = tested[tested["hotspot_class"].isin(HOT_CLASSES)]
    return [
        Decision(
            "What is counted",
            f"Sites that are likelier real than not (probability {COUNTED_FROM} or more): "
            f"{cells['n_sites'].sum():,}. Reports play no part.",
        ),
        _tested(hotspots, tested),
        _band(tested, band_of(cells)),
        Decision(
            "What is compared",
            "The sites found in a neighbourhood with those in the whole region, by the ground that "
            "was searched in each. Given the total, the number in a neighbourhood would be "
            "binomial if sites were equally dense everywhere, so the probability of so many or "
            "more is exact, however few sites or however patchy the search. Getis-Ord Gi* stands "
            "beside it for those who know it; its own probabilities are not used, because they "
            "call far too much a hotspot where sites are few.",
        ),
        _bins(tested, hot),
        _steadiness(hot),
        Decision(
            "What is one hotspot",
            "Hot cells that touch, corners too, are one: "
            f"{hotspots['cluster_id'].nunique():,} in all. A cell is hot for its whole "
            f"neighbourhood: {(hot['n_sites'] == 0).sum():,} of the hot cells hold no site "
            "themselves.",
        ),
    ]


def district_decision(districts: pd.DataFrame) -> Decision:
    """Say how the figures of districts came about: a DISTRICTS table."""
    missing = int(districts["expected_sites"].isna().sum())
    method = str(districts["method"].iloc[0])
    return Decision(
        "Districts",
        f"{len(districts):,} areas reach into the region. Sites count where their centre lies. "
        f"{CORRECTED[method]} "
        + (f"{missing} have no figure: too little of them was searched. " if missing else "")
        + "Workers are said as powers of ten, because nobody counted them.",
    )


def write_decisions(path: Path, title: str, decisions: Sequence[Decision]) -> None:
    """Write the log as Markdown."""
    parts = [f"# {title}", *(f"## {one.about}\n\n{one.text}" for one in decisions)]
    write_text(path, "\n\n".join(parts) + "\n")


def _tested(hotspots: pd.DataFrame, tested: pd.DataFrame) -> Decision:
    least = f"{LEAST_SEARCHED_SHARE:.0%}".replace("%", " %")
    return Decision(
        "What is tested",
        f"{len(tested):,} of {len(hotspots):,} cells of 5 km. "
        + (
            "No cell has others to be compared with, so there are no hotspots here, which does "
            "not mean that there are none."
            if tested.empty
            else f"The others were searched over less than {least} of their square, too little "
            "ground to speak for it, or have the whole region in their neighbourhood."
        ),
    )


def _band(tested: pd.DataFrame, band: Band) -> Decision:
    a_cell = tested["n_sites"].sum() / max(len(tested), 1)
    return Decision(
        "What a neighbourhood is",
        f"All tested cells within {band.radius_km:.1f} km of a cell, {band.n_cells} where none is "
        f"missing. On average they hold {a_cell * band.n_cells:.0f} sites ({a_cell:.2f} a cell). "
        f"The smallest neighbourhood with {LEAST_SITES} sites is taken, up to "
        f"{LONGEST_M / 1000:.0f} km and a quarter of the region: with fewer sites a threefold "
        "density does not stand out, and a wider one makes cells hot that lie beside a hotspot.",
    )


def _bins(tested: pd.DataFrame, hot: pd.DataFrame) -> Decision:
    counts = [int((hot["hotspot_class"] == name).sum()) for name in HOT_CLASSES]
    words = ", ".join(
        f"{number:,} at {name.removeprefix('hot_')} %"
        for name, number in zip(HOT_CLASSES, counts, strict=True)
    )
    return Decision(
        "How many false finds",
        f"{len(hot):,} of {len(tested):,} tested cells are hot ({words}). Among all cells called "
        "hot at 90 % or more, about one in ten may be so by chance; at 95 %, one in twenty; at "
        "99 %, one in a hundred (Benjamini and Hochberg). Where sites are equally dense "
        "everywhere, the chance of any hot cell at 95 % is at most one in twenty.",
    )


def _steadiness(hot: pd.DataFrame) -> Decision:
    steady = int((hot["stability"] >= STEADY).sum())
    shaky = int((hot["stability"] < HALF).sum())
    return Decision(
        "How steady they are",
        f"The test was made again on {len(other_grids())} other grids, shifted by half a cell and "
        f"with cells of 4 and 6.25 km. {steady:,} of {len(hot):,} hot cells are hot on nine in "
        f"ten of them or more; {shaky:,} on fewer than half: look at those with care.",
    )
