"""The figures of a group of cells in plain words, the same on map, page and table."""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from maps.evidence import OUTSIDE
from maps.hotspots import HOT_CLASSES, LEAST_SEARCHED_SHARE, NOT_TESTED
from tiles.partition import REST

TOO_FEW = "too few to say"
TITLES = {REST: "All other ground", OUTSIDE: "Ground in no area"}
SMALL = 10  # counts below are said with one decimal, others as whole numbers

EVIDENCE_WORDS = {
    "both": "imagery and reports",
    "imagery_only": "imagery; too few reports to stand out from the noise, which does not mean "
    "that nothing happens here",
    "reports_only": "reports, where the imagery shows no site",
    "unheard": "unheard: many sites, few reports; people may have no way to report",
    "no_release": "imagery only; no reports were released for this area",
    "not_searched": "hardly searched: nothing can be said",
}


@dataclass(frozen=True)
class GroupWords:
    """One group of cells in words."""

    title: str
    expected: str
    hotspot: str
    reporting: str
    evidence: str
    coverage: str

    def rows(self) -> list[tuple[str, str]]:
        """Labels and texts, in the order in which they are read."""
        return [
            ("Expected sites", self.expected),
            ("Hotspot", self.hotspot),
            ("Reporting rate", self.reporting),
            ("Known from", self.evidence),
            ("Searched", self.coverage),
        ]


def describe(groups: pd.DataFrame) -> list[GroupWords]:
    """Put each row of a GROUPS table in words."""
    return [
        GroupWords(
            title=TITLES.get(str(row["group_id"]), f"Area {row['group_id']}"),
            expected=interval(row["expected_sites"], row["expected_low"], row["expected_high"]),
            hotspot=_hotspot(row),
            reporting=_reporting(row),
            evidence=EVIDENCE_WORDS[row["evidence_class"]],
            coverage=f"{share(row['searched_share'])} of {row['area_km2']:,.0f}\u00a0km²",
        )
        for row in groups.to_dict("records")
    ]


def interval(mean: float, low: float, high: float) -> str:
    """Say a number of sites with its 90 % interval: `12 (8 to 17)`."""
    middle = f"{mean:.1f}" if mean < SMALL else f"{mean:,.0f}"
    return f"{middle} ({low:,.0f} to {high:,.0f})"


def share(value: float) -> str:
    """Say a share in per cent; all and nothing only where it is all or nothing."""
    per_cent = float(
        np.clip(round(100 * value), 1 if value > 0 else 0, 99 if value < 1 - 1e-9 else 100)
    )
    return f"{per_cent:.0f} %"


def _hotspot(row: dict[Hashable, Any]) -> str:
    found, hot = str(row["hotspot_class"]), row["n_hot_cells"]
    some = f"{hot} of {row['n_cells']} cells {'is' if hot == 1 else 'are'} hot{_steady(row)}"
    if found == NOT_TESTED:
        why = _untested(row)
        return f"{some}; as a whole not tested: {why}" if hot else f"not tested: {why}"
    if found not in HOT_CLASSES:
        return some if hot else "no denser than chance"
    where = "" if row["n_cells"] == 1 else f": {hot} of {row['n_cells']} cells"
    return f"hotspot ({found.removeprefix('hot_')} %){where}{_steady(row)}"


def _steady(row: dict[Hashable, Any]) -> str:
    """Whether hot cells are hot wherever the grid is drawn, where that was tried."""
    stability = row["hot_stability"]
    return "" if pd.isna(stability) else f", and on {share(stability)} of other grids"


def _untested(row: dict[Hashable, Any]) -> str:
    """A cell is tested if a fifth of it was searched, so the survey's edge can be the reason."""
    if row["searched_share"] < LEAST_SEARCHED_SHARE:
        return "too little was searched"
    cells = "its cell" if row["n_cells"] == 1 else "most of its cells"
    return f"of {cells}, under a fifth lies in the survey and was searched"


def _reporting(row: dict[Hashable, Any]) -> str:
    if pd.isna(row["report_rate"]):
        return "not released" if row["evidence_class"] == "no_release" else TOO_FEW
    rate, low, high = (_rate(row[f"report_rate{end}"]) for end in ("", "_low", "_high"))
    return f"{rate} per site ({low} to {high})"


def _rate(value: object) -> str:
    rate = float(str(value))
    return f"{rate:.2f}" if rate < 1 else f"{rate:.1f}"
