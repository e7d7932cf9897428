"""From the marks of an audit sample to recall, precision and counts, with 95 % intervals.

Every stratum h has N_h units, of which n_h were drawn and t_h told. A stratum's total is estimated
by N_h times the mean of the told marks: inverse inclusion weights, with the chips that nobody could
judge or reach taken to be like the others of their stratum (Horvitz and Thompson, JASA 47 (1952)
663-685; Saerndal, Swensson and Wretman, Model Assisted Survey Sampling (1992), 15.6, for the
response within strata). What "could not tell" hides is said apart: the figures if all of it were
sites, and if none were.

Intervals: of k events among t told, half of the draws take k and half k + 1, so the share of real
places has the Beta(k, t - k + 1) or Beta(k + 1, t - k) distribution, the missed sites a square
Gamma(k, t) or Gamma(k + 1, t): the two ends of the exact intervals, halved between them (mid-P;
Fay and Feuer, Statistics in Medicine 16 (1997) 791-801, and Fay and Kim, Biometrical Journal 59
(2017) 549-567, for sums of rates of unlike weight). Where squares differ more than chance makes
them, k and t are divided by how much. Units not marked are drawn anew. So a stratum of which every
mark was "yes" still has an interval. Half an event in every stratum (Jeffreys) was tried first:
where an event of far ground weighs hundreds of sites, it lifts the lower end of what was missed
above the truth, in one survey of six of tests/benchmarks/bench_audit.py.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from maps.audit_sample import AUDIT_DESIGN, GROUND, PLACE, PLACE_STRATA
from maps.expected import Estimate
from tiles.errors import TableError
from tiles.tables import read_table

Floats = npt.NDArray[np.float64]

DESIGN_FILE, SHEET_FILE = "design.parquet", "sheet.csv"
TOLD, CANNOT_TELL, NOT_REACHED = "told", "cannot_tell", "not_reached"
UNTOLD = {
    "": NOT_REACHED,
    "not reached": NOT_REACHED,
    "cannot tell": CANNOT_TELL,
    "could not tell": CANNOT_TELL,
    "?": CANNOT_TELL,
}
YES_OR_NO = {"yes": 1.0, "1": 1.0, "no": 0.0, "0": 0.0}
NOT_IMAGED = "not imaged"  # a square that no image shows: no searched ground, so it counts for 0
MOST_IN_A_SQUARE = 99  # of 500 m: more is a slip of the keyboard
DRAWS = 4_000  # the ends of intervals are then known to a fiftieth of their width
SEED = 1  # of those draws: the same marks give the same figures
TAIL = 0.025  # of either side of a 95 % interval
NEVER = 1e-9  # as a parameter of a Beta distribution: all of it at 0 or at 1
HALF = 0.5  # an event more than was seen, or none more: the middle of the two


@dataclass(frozen=True)
class AuditEstimates:
    """What an audit sample says of the searched ground; intervals of 95 %."""

    recall: Estimate
    """Share of the real sites that the list holds, however low their p_site."""
    precision: Estimate
    """Share of the sites with p_site of 0.5 or more that are real."""
    found: Estimate
    """Real sites in the list."""
    missed: Estimate
    """Real sites that the list lacks."""
    total: Estimate
    """Both."""
    strata: pd.DataFrame
    """By stratum: kind, population, drawn, told, cannot_tell, not_reached, mean, sd_mean."""
    chips: pd.DataFrame
    """AUDIT_DESIGN's columns, answer, value (NaN where not told) and weight."""

    @property
    def figures(self) -> dict[str, Estimate]:
        """The estimates by name, in the order in which they are said."""
        return {
            "recall": self.recall,
            "precision": self.precision,
            "found": self.found,
            "missed": self.missed,
            "total": self.total,
        }


def read_audit(folder: Path) -> AuditEstimates:
    """Read a folder that `kilnlight audit sample` wrote and a person marked.

    Raises:
        TableError: a file is absent, a mark cannot be read, or a stratum has none.
    """
    design = pd.DataFrame(read_table(folder / DESIGN_FILE, AUDIT_DESIGN)).drop(columns="geometry")
    marks = dict(read_marks(folder / SHEET_FILE))
    unknown = sorted(set(marks) - set(design["chip_id"]))
    missing = sorted(set(design["chip_id"]) - set(marks))
    if unknown or missing:
        what = f"names {unknown[0]!r}" if unknown else f"lacks {missing[0]}"
        raise TableError(
            f"{folder / SHEET_FILE} {what}, so it is not the sheet of {DESIGN_FILE} beside it: "
            "keep every row, and leave the mark empty where nobody looked."
        )
    read = [
        read_mark(marks[str(chip)], str(kind), f"{SHEET_FILE}, {chip}")
        for chip, kind in zip(design["chip_id"], design["kind"], strict=True)
    ]
    design["answer"], design["value"] = zip(*read, strict=True)
    return estimate(design)


def read_marks(path: Path) -> Iterator[tuple[str, str]]:
    """Yield chip_id and mark of every row of a sheet, commas or semicolons between cells.

    Raises:
        TableError: it is no such sheet, or names a chip twice.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise TableError(f"{path} cannot be read: save the sheet as CSV in UTF-8.") from error
    first = text.partition("\n")[0]
    rows = csv.DictReader(StringIO(text), delimiter=";" if ";" in first else ",")
    if not {"chip_id", "mark"} <= set(rows.fieldnames or []):
        raise TableError(f"{path} lacks the columns chip_id and mark: keep the sheet's first line.")
    seen = set()
    for row in rows:
        chip_id = (row["chip_id"] or "").strip()
        if chip_id in seen:
            raise TableError(f"{path} names {chip_id} twice: keep one row a chip.")
        seen.add(chip_id)
        yield chip_id, row["mark"] or ""


def read_mark(text: str, kind: str, where: str) -> tuple[str, float]:
    """Return the answer and its value (NaN where there is none).

    Raises:
        TableError: it is no answer to the chip's question.
    """
    mark = " ".join(text.replace("_", " ").lower().split())
    if mark in UNTOLD:
        return UNTOLD[mark], np.nan
    if kind == PLACE and mark in YES_OR_NO:
        return TOLD, YES_OR_NO[mark]
    if kind == GROUND and mark == NOT_IMAGED:
        return TOLD, 0.0
    if kind == GROUND and mark.isdecimal() and int(mark) <= MOST_IN_A_SQUARE:
        return TOLD, float(mark)
    wanted = "yes or no" if kind == PLACE else "how many sites it holds beside the known ones"
    raise TableError(
        f"{where}: the mark {text!r} is no answer; write {wanted}, could not tell, or nothing."
    )


def estimate(chips: pd.DataFrame) -> AuditEstimates:
    """Estimate from chips with answer and value; see the module's text.

    Raises:
        TableError: of a stratum that has units, none was told.
    """
    strata = _strata(chips)
    silent = strata.index[strata["told"] == 0]
    if len(silent):
        raise TableError(
            f"no chip of {silent[0]} is marked, and nothing else speaks for its "
            f"{strata['population'][silent[0]]:,} units: mark some of them."
        )
    told = chips["stratum"].map(strata["told"])
    weight = (chips["population"] / told).where(chips["answer"] == TOLD)
    return AuditEstimates(
        **_figures(strata), strata=strata.drop(columns="stretch"), chips=chips.assign(weight=weight)
    )


def if_untold(audit: AuditEstimates, sites: bool) -> dict[str, float]:
    """Return the figures if all that nobody could tell were sites (one a square), or none were."""
    unsure = audit.chips["answer"] == CANNOT_TELL
    value = audit.chips["value"].mask(unsure, float(sites))
    answer = audit.chips["answer"].mask(unsure, TOLD)
    again = estimate(audit.chips.assign(value=value, answer=answer))
    return {name: figure.mean for name, figure in again.figures.items()}


def _strata(chips: pd.DataFrame) -> pd.DataFrame:
    by = chips.groupby("stratum")
    counts = chips.groupby(["stratum", "answer"]).size().unstack(fill_value=0)
    table = by.agg(
        kind=("kind", "first"), population=("population", "first"), drawn=("kind", "size")
    )
    for answer in (TOLD, CANNOT_TELL, NOT_REACHED):
        table[answer] = counts.get(answer, 0)
    table["mean"] = by["value"].mean()
    # How much more squares differ than chance makes them: variance over mean, at least 1.
    ratio = by["value"].var(ddof=1) / table["mean"]
    table["stretch"] = ratio.where(table["kind"] == GROUND, 1.0).clip(lower=1.0).fillna(1.0)
    table["sd_mean"] = [stratum.sd_mean for stratum in _each(table).values()]
    return table


@dataclass(frozen=True)
class _Stratum:
    kind: str
    population: int
    told: int
    mean: float
    stretch: float

    @property
    def events(self) -> float:
        """Real places, or missed sites, among the told chips."""
        return self.mean * self.told

    @property
    def sd_mean(self) -> float:
        """Standard error of the mean; units that were told are known."""
        if not self.told:
            return float("nan")
        if self.kind == PLACE:
            yes, no = self.events + HALF, self.told - self.events + HALF
            variance = yes * no / ((yes + no) ** 2 * (yes + no + 1))
        else:
            variance = (self.events + HALF) * self.stretch / self.told**2
        return float(np.sqrt(variance * (1 - self.told / self.population)))

    def draw(self, rng: np.random.Generator) -> Floats:
        """Draws of the stratum's total: what was told, and the rest drawn anew."""
        rest = self.population - self.told
        more = rng.random(DRAWS) < HALF
        if self.kind == PLACE:
            yes, no = self.events + more, self.told - self.events + ~more
            share = rng.beta(np.maximum(yes, NEVER), np.maximum(no, NEVER))
            return np.asarray(self.events + rng.binomial(rest, share))
        rate = rng.gamma(self.events / self.stretch + more, self.stretch / self.told)
        return np.asarray(self.events + rng.poisson(rest * rate))


def _each(strata: pd.DataFrame) -> dict[str, _Stratum]:
    return {
        str(name): _Stratum(
            str(row["kind"]),
            int(row["population"]),
            int(row["told"]),
            float(row["mean"]),
            float(row["stretch"]),
        )
        for name, row in strata.iterrows()
    }


def _figures(strata: pd.DataFrame) -> dict[str, Estimate]:
    """The estimates by inverse inclusion weights, with the 2.5 and 97.5 % points of the draws."""
    rng = np.random.default_rng(SEED)
    each = _each(strata)
    draws = {name: stratum.draw(rng) for name, stratum in each.items()}
    means = {name: np.array([one.population * one.mean]) for name, one in each.items()}

    def total(names: list[str], of: dict[str, Floats]) -> Floats:
        return sum((of[name] for name in names), np.zeros(1))

    def figure(middle: Floats, drawn: Floats) -> Estimate:
        low, high = np.quantile(drawn, [TAIL, 1 - TAIL])
        mean = float(middle[0])
        return Estimate(mean, min(float(low), mean), max(float(high), mean))

    places = [name for name, stratum in each.items() if stratum.kind == PLACE]
    ground = [name for name, stratum in each.items() if stratum.kind == GROUND]
    likely = [name for name in places if name in PLACE_STRATA[:2]]
    listed = float(sum(each[name].population for name in likely))
    found, missed = ((total(names, means), total(names, draws)) for names in (places, ground))
    right = (total(likely, means), total(likely, draws))
    return {
        "recall": figure(*(_share(f, f + m) for f, m in zip(found, missed, strict=True))),
        "precision": figure(*(_share(part, np.full(len(part), listed)) for part in right)),
        "found": figure(*found),
        "missed": figure(*missed),
        "total": figure(*(f + m for f, m in zip(found, missed, strict=True))),
    }


def _share(part: Floats, whole: Floats) -> Floats:
    """The share, NaN of nothing: of no site at all nobody can say how many were found."""
    nothing = np.full(np.shape(whole), np.nan)
    return np.asarray(np.divide(part, whole, out=nothing, where=whole > 0))
