"""What a run says at its end, in plain words: what was seen, what was found, what to beware."""

from dataclasses import dataclass
from pathlib import Path

from maps.expected import COUNTED_FROM
from pipeline.mapping import MapTables, not_before
from pipeline.survey import Survey, SurveyPlan
from tiles.coverage import SEARCHED, searched_km2

SHOWN_FAILURES = 3  # as many reasons as are read; the manifest has them all


@dataclass(frozen=True)
class RunSummary:
    """A finished run."""

    folder: Path
    plan: SurveyPlan
    survey: Survey
    maps: MapTables
    seconds: dict[str, float]

    def text(self) -> str:
        """The summary as lines for a terminal."""
        return "\n".join([*self._found(), *(f"note: {w}" for w in self.warnings()), *self._files()])

    def _found(self) -> list[str]:
        title = self.plan.site_class.title.lower()
        expected = self.maps.expected
        hot = self.maps.hotspots["cluster_id"].nunique()
        likely = int((self.maps.sites["p_site"] >= COUNTED_FROM).sum())
        return [
            f"Searched {self.searched_km2:,.0f} of {self.region_km2:,.0f} km2{self._rest()}.",
            f"Found {likely:,} likely sites ({title}), {len(self.maps.sites):,} with the doubtful "
            f"ones; expected in the whole region: {expected.mean:,.0f} "
            f"(90 % interval {expected.low:,.0f} to {expected.high:,.0f}).",
            f"Hotspots: {hot} cluster{'' if hot == 1 else 's'} of cells denser than chance; "
            "decisions.md says how they came about.",
            f"{self.plan.site_class.disclaimer.capitalize()}.",
        ]

    @property
    def region_km2(self) -> float:
        """Area of the region."""
        return float(self.survey.coverage["area_km2"].sum())

    @property
    def searched_km2(self) -> float:
        """Area that was looked at."""
        return float(searched_km2(self.survey.coverage).sum())

    def _rest(self) -> str:
        areas = self.survey.coverage.groupby("status")["area_km2"].sum()
        rest = [f"{name} {km2:,.0f}" for name, km2 in areas.items() if name not in SEARCHED]
        return f" (not searched: {', '.join(rest)})" if rest else ""

    def warnings(self) -> list[str]:
        """What a reader must know before using the figures."""
        lines = [source.reason for source in self.plan.catalog.broken[:SHOWN_FAILURES]]
        lines += self.survey.failures[:SHOWN_FAILURES]
        more = len(self.plan.catalog.broken) + len(self.survey.failures) - len(lines)
        if more > 0:
            lines.append(f"{more} more files or blocks failed: manifest.json lists them.")
        if self.survey.failures:
            lines.append(
                "once that is mended, --refresh tries what failed again, and keeps the rest."
            )
        return [*lines, *self.maps.cautions]

    def _delay(self) -> str:
        month = not_before(self.plan.period)
        return f" (to be published not before {month})" if month else ""

    def _files(self) -> list[str]:
        took = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in self.seconds.items())
        return [
            f"Preview of the public map{self._delay()}: {self.folder / 'public' / 'index.html'}",
            f"Ranked sites, not to publish: {self.folder / 'restricted' / 'sites.csv'}",
            f"Tables: {self.folder} ({took})",
        ]
