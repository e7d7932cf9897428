"""From files of any format into the encrypted store, in one stream: `kilnlight reports import`.

Old lines of the store pass through, the new ones follow, and the new file takes the old one's name
when all files were read to their ends: an import happens as a whole or not at all. In memory are
one row at a time and a number for each report of the period, by which it is known again.
"""

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from pipeline.reports.formats import AUTO, FORMATS
from pipeline.reports.formats.base import Format
from pipeline.reports.formats.reading import detect, read
from pipeline.reports.keys import KeyFolder, check_apart, make_private_folder
from pipeline.reports.pseudonym import NoCountryError, Pseudonyms
from pipeline.reports.record import CanonicalReport, RawReport, Reason
from pipeline.reports.screening import Draft, Ground, Reader
from pipeline.reports.settings import GivenPeriod
from pipeline.reports.source import SourceSettings, read_source
from pipeline.reports.store import (
    Line,
    period_line,
    period_state,
    rewrite,
    source_line,
    to_line,
)
from pipeline.reports.textfile import TextFile
from tiles.errors import ReportError
from tiles.region import Period, read_region

BATCH = 1000  # rows whose places are compared with the region together


class ImportSettings(BaseModel):
    """What `kilnlight reports import` is told; unknown keys are refused.

    Attributes:
        files: exports of one source.
        format: name of a format, or auto.
        store: the encrypted store; begun when it is not there.
        keys: folder of its keys; made with the store.
        period: months whose reports are taken, under one key; one release each.
        source: the source's settings (TOML); the format's name and column of consent when absent.
        region: polygons that reports may come from (a survey's --region); anywhere when absent.
        today: reports of later days are refused; none when absent.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    files: tuple[Path, ...] = Field(min_length=1)
    format: str = AUTO
    store: Path
    keys: Path
    period: GivenPeriod
    source: Path | None = None
    region: Path | None = None
    today: date | None = None


@dataclass(frozen=True, repr=False)
class ImportSummary:
    """What the operator is told. The tallies are exact: for a screen, never for a log.

    Attributes:
        store: the store.
        period: the key period.
        formats: of each file.
        accepted: reports that were taken.
        nameless: how many of them name no reporter; they are not counted without a special cap.
        refused: rows that were not taken, by reason.
    """

    store: Path
    period: Period
    formats: tuple[str, ...]
    accepted: int
    nameless: int
    refused: Mapping[Reason, int]


def import_reports(settings: ImportSettings) -> ImportSummary:
    """Append the reports of files to the store.

    Raises:
        ReportError: a file, the settings, the store or the keys cannot be used, or the period is
            closed; nothing was imported then. The message holds no value of a file.
        RegionError: the region cannot be read.
    """
    given = None if settings.source is None else read_source(settings.source)
    files = [_source_file(settings, path, given) for path in settings.files]
    ground = Ground(None if settings.region is None else read_region(settings.region).polygon)
    check_apart(settings.store, settings.keys)
    keys = KeyFolder(settings.keys)
    begun = not settings.store.exists()
    if begun:
        make_private_folder(settings.keys)
    with keys.locked():
        if begun:
            keys.begin()
        run = _Import(settings, keys, files, ground)
        rewrite(settings.store, keys, run.lines)
        keys.end_beginning()
    return run.summary()


@dataclass(frozen=True, repr=False)
class _SourceFile:
    file: TextFile
    form: Format
    source: SourceSettings


def _source_file(settings: ImportSettings, path: Path, given: SourceSettings | None) -> _SourceFile:
    file = TextFile(path, None if given is None else given.encoding)
    form = _format(settings.format, file)
    return _SourceFile(file, form, given or SourceSettings(name=form.name))


def _format(name: str, file: TextFile) -> Format:
    if name == AUTO:
        return detect(FORMATS, file)
    form = next((one for one in FORMATS if one.name == name), None)
    if form is None:
        known = ", ".join(one.name for one in FORMATS)
        raise ReportError(f"{name!r} is no format of reports: choose {AUTO}, {known}.")
    return form


@dataclass(repr=False)
class _Known:
    """What the store says of the period before anything is added."""

    begun: bool = False
    reports: set[int] = field(default_factory=set)
    withdrawn: set[str] = field(default_factory=set)
    bases: set[tuple[str, str, str]] = field(default_factory=set)
    purged_before: str = ""
    sources: list[Line] = field(default_factory=list)


class _Import:
    def __init__(
        self, settings: ImportSettings, keys: KeyFolder, files: list[_SourceFile], ground: Ground
    ) -> None:
        self._settings = settings
        self._period = settings.period
        self._keys = keys
        self._files = files
        self._ground = ground
        self._known = _Known()
        self._accepted = 0
        self._nameless = 0
        self._refused: Counter[Reason] = Counter()

    def summary(self) -> ImportSummary:
        return ImportSummary(
            store=self._settings.store,
            period=self._period,
            formats=tuple(one.form.name for one in self._files),
            accepted=self._accepted,
            nameless=self._nameless,
            refused=self._refused,
        )

    def lines(self, before: Iterator[Line]) -> Iterator[Line]:
        """Pass the store's lines on, then those of the files."""
        for line in before:
            self._learn(line)
            yield line
        key = self._key()
        if not self._known.begun:
            yield period_line(self._period)
        for one in self._files:
            yield from self._source(one.source)
            yield from self._basis(one.source)
            yield from self._file(one, Pseudonyms(key, one.source))

    def _learn(self, line: Line) -> None:
        if "period" in line:
            self._check_period(line)
        elif "basis" in line:
            self._known.bases.add(_basis_key(line))
        elif "source" in line:
            self._known.sources.append(line)
        elif "purged" in line:
            self._known.purged_before = max(self._known.purged_before, line["purged"]["before"])
        elif "report" in line and line["report"]["period"] == str(self._period):
            report = line["report"]
            self._known.reports.add(hash((report["reporter"], report["report_id"])))
        elif "withdrawn" in line and line["withdrawn"]["period"] == str(self._period):
            self._known.withdrawn.add(line["withdrawn"]["digest"])

    def _check_period(self, line: Line) -> None:
        state = period_state(line)
        known, period = state.period, self._period
        if known == period and state.closed:
            raise ReportError(
                f"period {period} of store {self._settings.store} is closed and its key destroyed: "
                "its reporters cannot be told apart from those of a new key."
            )
        if known != period and known.first <= period.last and period.first <= known.last:
            raise ReportError(
                f"period {period} shares months with the store's key period {known}: give exactly "
                "that one, or months outside it."
            )
        self._known.begun |= known == period

    def _key(self) -> bytes:
        if self._keys.has_period(self._period):
            return self._keys.period_key(self._period)
        if self._known.begun:
            raise ReportError(
                f"the key of period {self._period} is not in {self._keys.path}: restore "
                f"{self._keys.period_file(self._period).name} from your copy."
            )
        return self._keys.begin_period(self._period)

    def _source(self, source: SourceSettings) -> Iterator[Line]:
        line = source_line(self._period, source.name, source.scope)
        if line not in self._known.sources:
            self._known.sources.append(line)
            yield line

    def _basis(self, source: SourceSettings) -> Iterator[Line]:
        consent = source.consent
        if consent.basis is None:
            return
        line: Line = {
            "basis": {"source": source.name, "wording": consent.basis, "dated": f"{consent.dated}"}
        }
        if _basis_key(line) not in self._known.bases:
            self._known.bases.add(_basis_key(line))
            yield line

    def _file(self, one: _SourceFile, pseudonyms: Pseudonyms) -> Iterator[Line]:
        reader = Reader(one.form, one.source, pseudonyms, self._period, self._settings.today)
        recorder = _Recorder(pseudonyms, one.source, one.source.channel or one.form.channel)
        drafts = (_draft(reader, raw, one) for raw in read(one.form, one.file, one.source))
        while batch := list(itertools.islice(drafts, BATCH)):
            for draft in self._ground.judge(batch):
                yield self._admit(draft, recorder, one.source.name)

    def _admit(self, draft: Draft, recorder: "_Recorder", source: str) -> Line:
        reason = draft.problem
        if reason is None:
            report = recorder.report(draft)
            mark = hash((report.reporter, report.report_id))
            if report.month < self._known.purged_before:
                reason = Reason.PURGED
            elif self._known.withdrawn & {report.reporter, report.report_id}:
                reason = Reason.WITHDRAWN
            elif mark in self._known.reports:
                reason = Reason.AGAIN
            else:
                self._known.reports.add(mark)
                self._accepted += 1
                self._nameless += not report.reporter
                return to_line(report, self._period)
        self._refused[reason] += 1
        return {
            "refused": {
                "period": str(self._period),
                "source": source,
                "number": draft.number,
                "reason": reason.value,
            }
        }


def _basis_key(line: Line) -> tuple[str, str, str]:
    basis = line["basis"]
    return basis["source"], basis["wording"], basis["dated"]


def _draft(reader: Reader, raw: RawReport, one: _SourceFile) -> Draft:
    try:
        return reader.draft(raw)
    except NoCountryError as error:
        sentence = str(error)
    raise one.file.error(sentence, raw.number, "record" if one.form.is_json else "line")


class _Recorder:
    """Brings accepted drafts of one file to the form in which they are kept."""

    def __init__(self, pseudonyms: Pseudonyms, source: SourceSettings, channel: str) -> None:
        self._pseudonyms = pseudonyms
        self._source = source
        self._channel = channel
        self._nameless: Counter[str] = Counter()

    def report(self, draft: Draft) -> CanonicalReport:
        assert draft.place is not None  # drafts without a place or an industry have a problem
        assert draft.industry is not None
        return CanonicalReport(
            report_id=self._report_id(draft),
            source=self._source.name,
            reporter=draft.reporter,
            lat=draft.place.lat,
            lon=draft.place.lon,
            accuracy_m=draft.accuracy_m,
            month=draft.month,
            industry=draft.industry,
            signs=draft.signs,
            consent=draft.consent,
            channel=self._channel,
        )

    def _report_id(self, draft: Draft) -> str:
        if draft.platform_id:
            return self._pseudonyms.report_id(draft.platform_id)
        assert draft.place is not None
        place = f"{draft.place.lat} {draft.place.lon}"
        said = (draft.reporter, place, draft.month, f"{draft.industry}", *draft.signs)
        first = self._pseudonyms.content_id(*said)
        if draft.reporter:
            return first
        # Two people without a name may say the same. They are counted, so that the second one is
        # not taken for the first, and the same file is known again.
        self._nameless[first] += 1
        return self._pseudonyms.content_id(*said, str(self._nameless[first]))
