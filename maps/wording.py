"""The figures of a group of cells in plain words, in any language, the same on page and table."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from maps.evidence import EVIDENCE_CLASSES, OUTSIDE
from maps.figures import SMALL_HUNDREDTHS, SMALL_TENTHS, per_cent, shown_figures
from maps.hotspots import HOT_CLASSES, NOT_TESTED, STRONGEST_FIRST
from maps.language import Language, load_language
from tiles.partition import REST

TOO_FEW = "too few to say"  # in the columns of the downloads, which are English
TITLES = {REST: "words.rest", OUTSIDE: "words.outside"}
ROWS = ("expected", "hotspot", "reporting", "evidence", "coverage")  # as they are read


@dataclass(frozen=True)
class GroupWords:
    """One group of cells in words."""

    title: str
    expected: str
    hotspot: str
    reporting: str
    evidence: str
    coverage: str
    labels: tuple[str, ...]
    """What stands before each of them, in the order in which they are read."""

    def rows(self) -> list[tuple[str, str]]:
        """Labels and texts, in the order in which they are read."""
        texts = (self.expected, self.hotspot, self.reporting, self.evidence, self.coverage)
        return list(zip(self.labels, texts, strict=True))


def describe(groups: pd.DataFrame, language: Language | None = None) -> list[GroupWords]:
    """Put each row of a GROUPS table in words; English where no language is given."""
    language = language or load_language("en")
    labels = tuple(language.say(f"row.{name}") for name in ROWS)
    figures = shown_figures(groups)
    return [
        _Words(language, figure).of(str(group_id), labels)
        for group_id, figure in zip(groups["group_id"], _records(figures), strict=True)
    ]


def interval(mean: float, low: float, high: float, language: Language | None = None) -> str:
    """Say a number of sites with its 90 % interval: `12 (8 to 17)`."""
    language = language or load_language("en")
    tenths = round(10 * mean)
    middle = tenths if tenths < SMALL_TENTHS else 10 * round(mean)
    return _interval(middle, round(low), round(high), language)


def share(value: float, language: Language | None = None) -> str:
    """Say a share in per cent; all and nothing only where it is all or nothing."""
    return (language or load_language("en")).share(int(per_cent(np.array(value))))


def group_title(group_id: str, language: Language) -> str:
    """Return what a group is called."""
    key = TITLES.get(group_id)
    return language.say("words.area", id=group_id) if key is None else language.say(key)


def _records(figures: pd.DataFrame) -> list[dict[str, int | None]]:
    plain = figures.astype(object).where(figures.notna(), None)
    return [
        {str(name): None if value is None else int(value) for name, value in row.items()}
        for row in plain.to_dict("records")
    ]


def _interval(tenths: int, low: int, high: int, language: Language) -> str:
    decimals = 1 if tenths < SMALL_TENTHS else 0
    middle = language.number(tenths / 10, decimals)
    return language.say("number.interval", middle=middle, low=low, high=high)


@dataclass(frozen=True)
class _Words:
    """The sentences about one group; its figures are a row of `shown_figures`."""

    language: Language
    row: dict[str, int | None]

    def of(self, group_id: str, labels: tuple[str, ...]) -> GroupWords:
        language = self.language
        area = language.say("number.square_km", n=self._int("area"))
        searched = language.share(self._int("searched"))
        expected, low, high = (self._int(name) for name in ("expected", "low", "high"))
        return GroupWords(
            title=group_title(group_id, language),
            expected=_interval(expected, low, high, language),
            hotspot=self._hotspot(),
            reporting=self._reporting(),
            evidence=language.say(f"evidence.{EVIDENCE_CLASSES[self._int('evidence')]}"),
            coverage=language.say("words.coverage", share=searched, area=area),
            labels=labels,
        )

    def _int(self, name: str) -> int:
        value = self.row[name]
        assert value is not None
        return value

    def _hotspot(self) -> str:
        found, hot = STRONGEST_FIRST[self._int("hotspot")], self._int("hot")
        some = self.language.say(
            "words.some_hot_one" if hot == 1 else "words.some_hot",
            hot=hot,
            cells=self._int("cells"),
            steady=self._steady(),
        )
        if found == NOT_TESTED:
            why = self._untested()
            if hot:
                return self.language.say("words.some_not_tested", some=some, why=why)
            return self.language.say("words.not_tested", why=why)
        if found not in HOT_CLASSES:
            return some if hot else self.language.say("words.not_denser")
        values = {"class": found.removeprefix("hot_"), "steady": self._steady()}
        values["class"] = self.language.numeral(values["class"])
        if self.row["cells"] == 1:
            return self.language.say("words.hot_whole", **values)
        return self.language.say("words.hot_some", hot=hot, cells=self._int("cells"), **values)

    def _steady(self) -> str:
        """Whether hot cells are hot wherever the grid is drawn, where that was tried."""
        stability = self.row["stability"]
        if stability is None:
            return ""
        return self.language.say("words.steady", share=self.language.share(stability))

    def _untested(self) -> str:
        """A cell is tested if a fifth of it was searched: the survey's edge can be the reason."""
        if self.row["little"]:
            return self.language.say("words.why_searched")
        return self.language.say("words.why_cell" if self.row["cells"] == 1 else "words.why_cells")

    def _reporting(self) -> str:
        rates = [self.row[name] for name in ("rate", "rate_low", "rate_high")]
        if rates[0] is None:
            no_release = EVIDENCE_CLASSES[self._int("evidence")] == "no_release"
            return self.language.say(f"words.{'not_released' if no_release else 'too_few'}")
        rate, low, high = (self._rate(value or 0) for value in rates)
        return self.language.say("words.rate", rate=rate, low=low, high=high)

    def _rate(self, hundredths: int) -> str:
        return self.language.number(hundredths / 100, 2 if hundredths < SMALL_HUNDREDTHS else 1)
