"""`kilnlight compare`: two run folders, or one and a list, into tables, layers and a page."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import shapely
from pydantic import BaseModel, ConfigDict, Field

from maps.comparison import (
    COMPARISON,
    OF_LIST,
    OF_RUNS,
    Comparison,
    Looked,
    compare_list,
    compare_runs,
)
from maps.comparison_page import ComparisonFacts, comparison_page
from maps.expected import Recall
from maps.linking import SITES
from maps.recapture import Counts, check_independent, count_sites
from maps.sheets import write_csv
from models.weights import WeightsCard
from pipeline.run_folder import RunFolder
from pipeline.weights_of_run import card_of_run
from tiles.errors import ConfigError, RunFolderError
from tiles.files import write_text
from tiles.ground import read_ground
from tiles.listed import read_places
from tiles.tables import read_table, write_table

LAYER_DECIMALS = 5  # about a metre
OPERATOR_ONLY = 0o700  # it holds positions of sites


class CompareSettings(BaseModel):
    """What `kilnlight compare` is told; unknown keys are refused.

    Attributes:
        run_folder: a finished run; the earlier one of two.
        later: the later run.
        positions: a list of known places instead: CSV with lat, lon and perhaps `source`.
        out: folder for what comes out.
        independent: who made the list and from what; asks for counts by capture-recapture.
        share_real: share of the listed places that are real.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    run_folder: Path
    later: Path | None = None
    positions: Path | None = None
    out: Path
    independent: str | None = None
    share_real: float = Field(default=1.0, gt=0, le=1)


@dataclass(frozen=True)
class _Run:
    """A run folder, read."""

    name: str
    looked: Looked
    survey: dict[str, Any]
    card: WeightsCard
    region: shapely.Geometry


def compare(settings: CompareSettings) -> str:
    """Compare, write everything into `out`, and return a summary of some lines.

    Raises:
        ConfigError: neither or both of a later run and a list were given, the two runs are of
            different classes, or no count can follow from the list.
        RunFolderError: a folder holds no finished run.
        TableError: the list cannot be read.
    """
    if (settings.later is None) == (settings.positions is None):
        raise ConfigError("give either a second run folder or --points with a list, to compare.")
    if settings.independent is not None and settings.positions is None:
        raise ConfigError("--independent speaks of a list: give one with --points.")
    first = _read_run(settings.run_folder)
    within_m = float(first.survey["site_class"]["match_tolerance_m"])
    if settings.later is not None:
        found, facts = _with_run(first, _read_run(settings.later), within_m)
    else:
        assert settings.positions is not None  # narrows; one of the two is given
        found, facts = _with_list(first, settings.positions, settings, within_m)
    _write(found, facts, settings.out)
    return "\n".join([*facts.lines, f"Wrote {settings.out / 'index.html'} and tables beside it."])


def _read_run(folder: Path) -> _Run:
    manifest = RunFolder(folder).manifest()
    if manifest is None or not manifest["files"]:
        raise RunFolderError(f"{folder} holds no finished run: give the folder of its --out.")
    ground = read_ground(folder / "ground.parquet")
    card = card_of_run(folder)
    looked = Looked(
        sites=pd.DataFrame(read_table(folder / "sites.parquet", SITES)),
        status_at=ground.status_at,
        recall=Recall(**card.recall.model_dump()),
    )
    region = shapely.from_wkb(manifest["survey"]["region"]["wkb"])
    return _Run(folder.name, looked, manifest["survey"], card, region)


def _with_run(first: _Run, second: _Run, within_m: float) -> tuple[Comparison, ComparisonFacts]:
    names = [run.survey["site_class"]["name"] for run in (first, second)]
    if names[0] != names[1]:
        raise ConfigError(
            f"{first.name} looked for {names[0]} and {second.name} for {names[1]}: compare two "
            "surveys of one class."
        )
    found = compare_runs(first.looked, second.looked, within_m)
    warned = []
    if first.survey["weights"]["sha256"] != second.survey["weights"]["sha256"]:
        warned.append(
            "The two surveys used different weights: what differs may be the detector, not the "
            "ground. Run both with the same weights."
        )
    facts = ComparisonFacts(
        title=f"{first.name} and {second.name}",
        statuses=OF_RUNS,
        lines=_run_lines(found),
        cautions=tuple(warned),
        disclaimer=first.survey["site_class"]["disclaimer"],
    )
    return found, facts


def _run_lines(found: Comparison) -> tuple[str, ...]:
    changed = found.count("gone")
    assert found.by_chance is not None  # narrows; runs have it
    return (
        f"{found.count('unchanged')} sites in both, {found.count('new')} new, {changed} gone.",
        f"{found.count('not_seen_after')} of the first stand on ground that the second did not "
        f"search, {found.count('not_seen_before')} of the second on ground that the first did not;"
        f" {found.count('unsure')} are too unsure to count.",
        f"If nothing had changed, up to {found.by_chance:.0f} sites of the first would still be "
        "missing in the second, because detectors miss and err: look at the pictures of the gone "
        "before you say that a site is.",
    )


def _with_list(
    run: _Run, path: Path, settings: CompareSettings, within_m: float
) -> tuple[Comparison, ComparisonFacts]:
    listed = read_places(path)
    inside = shapely.contains_xy(run.region, listed["lon"], listed["lat"])
    listed = listed[inside].reset_index(drop=True)
    if listed.empty:
        raise ConfigError(f"no place of {path} lies in the region of {run.name}: check the list.")
    found = compare_list(run.looked, listed, within_m)
    lines = list(_list_lines(found))
    if settings.independent is not None:
        sources = sorted(set(listed.get("source", pd.Series(dtype=object)).dropna().astype(str)))
        check_independent([path.stem, *sources], run.card.trained_on, _trained_here(run))
        lines += _count_lines(count_sites(found.table, settings.share_real), settings)
    facts = ComparisonFacts(
        title=f"{run.name} and {path.name}",
        statuses=OF_LIST,
        lines=tuple(lines),
        cautions=(),
        disclaimer=run.survey["site_class"]["disclaimer"],
    )
    return found, facts


def _trained_here(run: _Run) -> list[str]:
    """Training places of the weights that lie in the region."""
    return [
        place.name
        for place in run.card.trained_places
        if shapely.contains_xy(run.region, place.lon, place.lat)
    ]


def _list_lines(found: Comparison) -> tuple[str, ...]:
    moved = found.offset
    known = found.count("matched") + found.count("missed")
    where = (
        f"The list lies {moved.length_m:.0f} m off ({moved.east_m:+.0f} m east, "
        f"{moved.north_m:+.0f} m north to be added, from {moved.pairs} places); it was moved so."
        if moved.length_m
        else "The list's positions were taken as they are: no common offset was found."
    )
    return (
        where,
        f"{found.count('matched')} of {known} listed places on searched ground were found, "
        f"{found.count('missed')} were not; {found.count('not_seen')} stand on ground that was "
        "not searched.",
        f"{found.count('extra')} sites are not in the list, and {found.count('unsure')} more are "
        "too unsure to count.",
    )


def _count_lines(counts: Counts, settings: CompareSettings) -> tuple[str, ...]:
    return (
        f"Capture-recapture, taking the list to be independent ({settings.independent}): "
        f"{counts.total.mean:.0f} sites [{counts.total.low:.0f}, {counts.total.high:.0f}] on the "
        f"ground searched, of which the survey found {counts.recall.mean:.2f} "
        f"[{counts.recall.low:.2f}, {counts.recall.high:.2f}] and the list holds "
        f"{counts.listed.mean:.2f} [{counts.listed.low:.2f}, {counts.listed.high:.2f}].",
        "Where large sites are easier for both, the true number is higher.",
    )


def _write(found: Comparison, facts: ComparisonFacts, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    out.chmod(OPERATOR_ONLY)
    write_table(found.table, out / "comparison.parquet", COMPARISON)
    table = pd.DataFrame(found.table.drop(columns="geometry"))
    table = table.round({"lon": LAYER_DECIMALS, "lat": LAYER_DECIMALS})
    records = table.astype(object).where(table.notna(), None)
    write_csv(
        out / "comparison.csv", COMPARISON.column_names, _rows(records[[*COMPARISON.column_names]])
    )
    write_text(out / "comparison.geojson", _layers(records, facts) + "\n")
    write_text(out / "index.html", comparison_page(found, facts))


def _rows(records: pd.DataFrame) -> list[tuple[Any, ...]]:
    return list(records.itertuples(index=False, name=None))


def _layers(records: pd.DataFrame, facts: ComparisonFacts) -> str:
    """Points with their status, for any GIS; one layer to be coloured by `status`."""
    features = [
        {
            "type": "Feature",
            "geometry": {"type": "Point", "coordinates": [record["lon"], record["lat"]]},
            "properties": record,
        }
        for record in records.to_dict("records")
    ]
    content = {
        "type": "FeatureCollection",
        "title": facts.title,
        "disclaimer": facts.disclaimer,
        "features": features,
    }
    return json.dumps(content, ensure_ascii=False, indent=1)
