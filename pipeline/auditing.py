"""The audit sample of a run folder: chips to mark, and what the marks say of the survey."""

from pathlib import Path

import numpy as np
import pandas as pd
import shapely
from pydantic import ValidationError

from maps.audit_estimate import (
    DESIGN_FILE,
    SHEET_FILE,
    AuditEstimates,
    if_untold,
    read_audit,
)
from maps.audit_sample import AUDIT_DESIGN, PLACE, SIDE_M, draw_sample, make_frame
from maps.linking import SITES
from maps.sheets import write_csv
from models.site_class import SiteClass
from pipeline.run_folder import OPERATOR_ONLY, RunFolder
from tiles.cells import CellGrid
from tiles.coverage import COVERAGE
from tiles.errors import RunFolderError
from tiles.files import sha256_file
from tiles.tables import read_table, write_table

ESTIMATES_FILE = "estimates.csv"
FOR_OWNER = 0o600
SHEET_COLUMNS = (
    "chip_id",
    "question",
    "lat_lon",
    "lat",
    "lon",
    "side_m",
    "known_sites",
    "known_at",
    "mark",
    "remark",
    "note",
)
QUESTIONS = {
    True: "Is there a {title} at the middle of this square? yes / no / could not tell",
    # By its middle a site lies in one square only: else those on borders would count twice.
    False: "How many {title}s have their middle in this square, beside the known ones? "
    "a number / not imaged / could not tell",
}


def sample_run(run_folder: Path, n: int, out: Path, seed: int) -> str:
    """Draw n chips of a run and write the sheet to mark; say what was drawn.

    The sheet names neither strata nor probabilities: who knows what the detector thinks of a place
    marks otherwise. Positions of places are restricted, so the folder is for its owner alone.

    Raises:
        RunFolderError: there is no finished run, or `out` holds a sheet already.
        ConfigError: n is too small.
    """
    manifest = RunFolder(run_folder).manifest() if run_folder.is_dir() else None
    if manifest is None:
        raise RunFolderError(f"{run_folder} holds no run: give the folder of `kilnlight run`.")
    if (out / SHEET_FILE).exists() or (out / DESIGN_FILE).exists():
        raise RunFolderError(
            f"{out} holds an audit sample already, and its marks would be lost: choose another "
            "--out."
        )
    sites = read_table(run_folder / "sites.parquet", SITES)
    coverage = read_table(run_folder / "coverage.parquet", COVERAGE)
    survey = manifest["survey"]
    region = shapely.from_wkb(survey["region"]["wkb"])
    design = draw_sample(make_frame(coverage, sites, region), n, seed)
    site_class = _class_of(run_folder, survey["site_class"])
    out.mkdir(parents=True, exist_ok=True)
    out.chmod(OPERATOR_ONLY)
    notes = {"sites_sha256": sha256_file(run_folder / "sites.parquet"), "seed": str(seed)}
    write_table(design, out / DESIGN_FILE, AUDIT_DESIGN, notes)
    (out / DESIGN_FILE).chmod(FOR_OWNER)
    _write_sheet(design, sites, site_class, out / SHEET_FILE)
    drawn = [f"{name} {size}" for name, size in design.groupby("stratum").size().items()]
    return (
        f"Drew {len(design)} chips ({', '.join(drawn)}).\n"
        f"Mark {out / SHEET_FILE} in the column mark; keep it and {DESIGN_FILE} to yourself: "
        "it holds places."
    )


def _class_of(run_folder: Path, described: object) -> SiteClass:
    """The class as the manifest holds it; an earlier version of the program wrote other keys."""
    try:
        return SiteClass.model_validate(described)
    except ValidationError as error:
        key = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise RunFolderError(
            f"{run_folder} was made by another version of Kilnlight (site class, {key}): "
            "survey again with this one."
        ) from error


def estimate_audit(folder: Path) -> str:
    """Estimate from a marked sheet, write `estimates.csv` beside it, and say what it holds.

    Raises:
        TableError: the folder holds no marked sample, or a mark cannot be read.
    """
    audit = read_audit(folder)
    none, every = (if_untold(audit, sites) for sites in (False, True))
    rows = [
        (name, *(_plain(value) for value in (one.mean, one.low, one.high, none[name], every[name])))
        for name, one in audit.figures.items()
    ]
    header = ("figure", "estimate", "low", "high", "if_untold_none", "if_untold_all")
    path = folder / ESTIMATES_FILE
    write_csv(path, header, rows)
    path.chmod(FOR_OWNER)
    return "\n".join([*_words(audit), *_gaps(audit), f"Figures: {path}"])


def _words(audit: AuditEstimates) -> list[str]:
    counts = {name: audit.figures[name] for name in ("found", "missed", "total")}
    shares = {name: audit.figures[name] for name in ("recall", "precision")}
    lines = [
        f"{name}: {one.mean:.0%} ({one.low:.0%} to {one.high:.0%})"
        if np.isfinite(one.mean)
        else f"{name}: cannot be had, since there is nothing to be a share of"
        for name, one in shares.items()
    ]
    lines += [
        f"{name} sites on searched ground: {one.mean:,.0f} ({one.low:,.0f} to {one.high:,.0f})"
        for name, one in counts.items()
    ]
    return [*lines, "Intervals of 95 %; places count as they were marked, nothing else is known."]


def _gaps(audit: AuditEstimates) -> list[str]:
    told, cannot, not_reached = (
        int(audit.strata[name].sum()) for name in ("told", "cannot_tell", "not_reached")
    )
    return [
        f"Marked {told} of {len(audit.chips)} chips; could not tell: {cannot}; not reached: "
        f"{not_reached}. {ESTIMATES_FILE} says what the figures were if all that could not be told "
        "were sites, or none."
    ]


def _plain(value: float) -> object:
    return None if np.isnan(value) else round(value, 4)


def _write_sheet(
    design: pd.DataFrame, sites: pd.DataFrame, site_class: SiteClass, path: Path
) -> None:
    """Write what a person marks: places and questions, and nothing of what the detector thinks."""
    near = _known_near(design, sites)
    rows = [
        (
            chip["chip_id"],
            QUESTIONS[chip["kind"] == PLACE].format(title=site_class.title.lower()),
            f"{chip['lat']:.5f}, {chip['lon']:.5f}",
            f"{chip['lat']:.5f}",
            f"{chip['lon']:.5f}",
            SIDE_M,
            "" if chip["kind"] == PLACE else len(known),
            "" if chip["kind"] == PLACE else "; ".join(known),
            "",
            "",
            site_class.disclaimer,
        )
        for chip, known in zip(design.to_dict("records"), near, strict=True)
    ]
    write_csv(path, SHEET_COLUMNS, rows)
    path.chmod(FOR_OWNER)


def _known_near(design: pd.DataFrame, sites: pd.DataFrame) -> list[list[str]]:
    """Positions of the list's sites in the 500 m square of each chip."""
    grid = CellGrid(SIDE_M)
    rows, cols = grid.cells_at(sites["lon"], sites["lat"])
    inside: dict[tuple[int, int], list[str]] = {}
    for row, col, lat, lon in zip(rows, cols, sites["lat"], sites["lon"], strict=True):
        inside.setdefault((int(row), int(col)), []).append(f"{lat:.5f}, {lon:.5f}")
    rows, cols = grid.cells_at(design["lon"], design["lat"])
    squares = zip(rows, cols, strict=True)
    return [sorted(inside.get((int(row), int(col)), [])) for row, col in squares]
