"""The decisions of a run folder: kept, merged, applied to its tables, exported as labels."""

import csv
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas as gpd
import pandas as pd
import shapely

from maps.audit_estimate import DESIGN_FILE, SHEET_FILE
from maps.audit_sample import SIDE_M
from maps.exclusions import Exclusion, read_exclusions, write_exclusions
from maps.linking import SITES
from maps.review.agreement import Agreement, agreements, disagreements
from maps.review.consensus import (
    corrected_boxes,
    place_decisions,
    review_status,
    statuses,
)
from maps.review.decisions import (
    BOX,
    CONFIRMED,
    REJECTED,
    VERDICTS,
    WRONG_CLASS,
    merge_decisions,
    no_decisions,
    read_decisions,
    write_decisions,
)
from maps.review.labels import REVIEW_LABELS, REVIEWED_GROUND, labels_of, reviewed_ground
from maps.sheets import write_csv
from pipeline.config import RunSettings, read_run_file
from pipeline.run_folder import MANIFEST, OPERATOR_ONLY, RUN_FILE, RunFolder
from pipeline.run_imagery import scenes_of_run
from tiles.errors import ReviewError, RunFolderError
from tiles.files import sha256_file, write_text
from tiles.tables import read_table, write_table

FOLDER, DECISIONS_FILE, AUDIT = "review", "decisions.csv", "audit"
DISAGREEMENTS_FILE, EXCLUSIONS_FILE = "disagreements.csv", "exclusions.csv"
LABELS_FILE, GROUND_FILE, IMAGERY_FILE = "labels.parquet", "ground.parquet", "imagery.json"
SITES_FILE = "sites.parquet"
MARKS = {CONFIRMED: "yes", REJECTED: "no", WRONG_CLASS: "no", "not_imaged": "not imaged"}
FAR_DEGREES = 0.1  # some 10 km: decisions that lie nowhere near the region are another run's


@dataclass(frozen=True)
class ReviewedRun:
    """A finished run with what people decided on it."""

    path: Path
    manifest: dict[str, Any]
    settings: RunSettings
    sites: gpd.GeoDataFrame

    @classmethod
    def open(cls, path: Path) -> "ReviewedRun":
        """Open a run folder.

        Raises:
            RunFolderError: it holds no finished run.
        """
        manifest = RunFolder(path).manifest() if path.is_dir() else None
        if manifest is None or not (path / SITES_FILE).is_file():
            raise RunFolderError(
                f"{path} holds no finished run: give the folder of `kilnlight run`."
            )
        settings = RunSettings.of(read_run_file(path / RUN_FILE), str(path / RUN_FILE))
        return cls(path, manifest, settings, read_table(path / SITES_FILE, SITES))

    @property
    def folder(self) -> Path:
        """Where pages and decisions are; for the operator alone."""
        folder = self.path / FOLDER
        folder.mkdir(exist_ok=True)
        folder.chmod(OPERATOR_ONLY)
        return folder

    @property
    def decisions(self) -> pd.DataFrame:
        """What was imported so far."""
        return stored_decisions(self.path)

    @property
    def survey_name(self) -> str:
        """Short name of what was looked at: it stays when the survey is made again."""
        survey = self.manifest["survey"]
        looked_at = [survey["site_class"]["name"], [i["sha256"] for i in survey["imagery"]]]
        digest = hashlib.sha256(json.dumps(looked_at).encode()).hexdigest()[:8]
        return f"{self.path.absolute().name}-{digest}"


def stored_decisions(run_folder: Path) -> pd.DataFrame:
    """Every decision that was imported into a run folder, as it was made."""
    path = run_folder / FOLDER / DECISIONS_FILE
    return read_decisions(path) if path.is_file() else no_decisions()


def with_review_status(sites: gpd.GeoDataFrame, run_folder: Path) -> gpd.GeoDataFrame:
    """Linked sites with `review_status`, from the decisions that the run folder holds."""
    return sites.assign(review_status=review_status(sites, stored_decisions(run_folder)))


def import_decisions(run_folder: Path, files: Sequence[Path]) -> str:
    """Merge files of decisions into a run, renew its review_status, and say what came of it.

    Nothing is lost: rows that are there already are not doubled, others are added, also those of
    places that the run does not have (any more).

    Raises:
        ReviewError: a file holds no decision on this run's region.
        TableError: a file cannot be read; nothing is imported then.
    """
    run = ReviewedRun.open(run_folder)
    read = [(str(path), read_decisions(path)) for path in files]
    for where, decisions in read:
        _check_region(decisions, where, run)
    with RunFolder(run_folder).locked():
        return take_in(run, [decisions for _, decisions in read])


def take_in(run: ReviewedRun, tables: Sequence[pd.DataFrame]) -> str:
    """Merge tables of decisions into a run; the folder must be locked. See `import_decisions`."""
    before = run.decisions
    merged = merge_decisions([before, *tables])
    write_decisions(merged, run.folder / DECISIONS_FILE)
    placed = place_decisions(merged, run.sites)
    said = [f"{len(merged) - len(before)} decisions added, {len(merged)} in all."]
    said += _renew(run, merged)
    said += _say_marks(run, placed)
    # new ones only: what an operator took off the list by hand stays off
    said += _exclude(run, merged.iloc[len(before) :])
    strangers = placed.loc[~placed["known"] & (placed["chip_id"] == ""), "place"].nunique()
    if strangers:
        said.append(f"{strangers} places are no sites of this run; they are kept, and are labels.")
    return "\n".join([*said, *_agreement_lines(run, placed)])


def say_agreement(run_folder: Path) -> str:
    """Say how far reviewers agree, and write what they dispute. See `maps.review.agreement`."""
    run = ReviewedRun.open(run_folder)
    placed = place_decisions(run.decisions, run.sites)
    if placed.empty:
        raise ReviewError(f"{run_folder} holds no decisions: import what the page exported.")
    seconds = placed[placed["seconds"] > 0].groupby("reviewer")["seconds"].median()
    pace = [
        f"{reviewer}: {(placed['reviewer'] == reviewer).sum()} decisions"
        + (f", {seconds[reviewer]:.1f} s each (median)" if reviewer in seconds else "")
        for reviewer in sorted(placed["reviewer"].unique())
    ]
    return "\n".join([*pace, *_agreement_lines(run, placed)])


def read_decided(run_folder: Path) -> pd.DataFrame:
    """One row a place that was decided, after merging and adjudication.

    Returns:
        site_id, lon, lat, decision (disputed places are unsure), asked (the queue it came from),
        reviewers, known (it is a site of the run) and the corrected box: moved_lon, moved_lat,
        length_m, width_m, azimuth_deg, NaN where nobody moved it.
    """
    run = ReviewedRun.open(run_folder)
    placed = place_decisions(run.decisions, run.sites)
    placed = placed[placed["decision"].isin(VERDICTS)]
    table = placed.groupby("place").agg(
        lon=("lon", "first"),
        lat=("lat", "first"),
        asked=("queue", "first"),
        reviewers=("reviewer", "nunique"),
        known=("known", "first"),
    )
    table["decision"] = statuses(placed)
    boxes = corrected_boxes(placed)[list(BOX)]
    return table.join(boxes).reset_index(names="site_id")


def export_labels(run_folder: Path, out: Path) -> str:
    """Write decisions as labels to train on, and say what was written.

    `labels.parquet` holds boxes and places (sites that nobody decided on are doubtful: they teach
    neither way), `ground.parquet` the squares that people looked at, `imagery.json` where the
    pixels are.

    Raises:
        ReviewError: there is nothing to export, or `out` holds other files.
    """
    run = ReviewedRun.open(run_folder)
    placed = place_decisions(run.decisions, run.sites)
    if placed.empty:
        raise ReviewError(f"{run_folder} holds no decisions: import what the page exported.")
    labels = labels_of(placed, run.sites)
    ground = reviewed_ground(placed, labels, SIDE_M)
    out.mkdir(parents=True, exist_ok=True)
    out.chmod(OPERATOR_ONLY)
    write_table(labels, out / LABELS_FILE, REVIEW_LABELS)
    write_table(ground, out / GROUND_FILE, REVIEWED_GROUND)
    scenes = [
        {"scene_id": scene.scene_id, "path": str(scene.path)} for scene in scenes_of_run(run.path)
    ]
    bands = list(run.settings.bands or (1, 2, 3))
    imagery = {"scenes": scenes, "bands": bands, "credit": run.settings.imagery_credit}
    write_text(out / IMAGERY_FILE, json.dumps(imagery, indent=1) + "\n")
    counts = labels["label"].value_counts()
    words = ", ".join(f"{counts.get(name, 0)} {name}" for name in ("site", "not_site", "doubtful"))
    return f"{words}; {len(ground)} squares of ground. Train on them: --labels {out}"


def _check_region(decisions: pd.DataFrame, where: str, run: ReviewedRun) -> None:
    if decisions.empty:
        raise ReviewError(f"{where} holds no decision: nothing was imported.")
    region = shapely.from_wkb(run.manifest["survey"]["region"]["wkb"]).buffer(FAR_DEGREES)
    if not shapely.contains_xy(region, decisions["lon"], decisions["lat"]).any():
        raise ReviewError(
            f"none of the {len(decisions)} places of {where} lies in the region of {run.path}: "
            "they are another run's; import them there."
        )


def _renew(run: ReviewedRun, decisions: pd.DataFrame) -> list[str]:
    """Write review_status into sites.parquet, and the file's new hash into the manifest."""
    sites = run.sites.assign(review_status=review_status(run.sites, decisions))
    path = run.path / SITES_FILE
    write_table(sites, path, SITES)
    run.manifest["files"][SITES_FILE] = sha256_file(path)
    write_text(run.path / MANIFEST, json.dumps(run.manifest, indent=2) + "\n")
    counts = sites["review_status"].value_counts()
    words = ", ".join(f"{counts[name]} {name}" for name in counts.index)
    return [f"Sites of the run: {words or 'none'}."]


def _say_marks(run: ReviewedRun, placed: pd.DataFrame) -> list[str]:
    """Write the answers of an audit sample into its sheet, where the run has one."""
    sheet = run.folder / AUDIT / SHEET_FILE
    asked = placed[placed["chip_id"] != ""]
    if asked.empty or not sheet.is_file():
        return []
    answers = _by_chip(asked)
    with sheet.open(encoding="utf-8-sig", newline="") as stream:
        rows = list(csv.DictReader(stream))
    for row in rows:
        answer = answers.get(row["chip_id"])
        if answer is not None:
            row["mark"] = MARKS.get(answer, answer if answer.isdecimal() else "could not tell")
    write_csv(sheet, list(rows[0]), [list(row.values()) for row in rows])
    sheet.chmod(0o600)
    marked = sum(row["mark"] != "" for row in rows)
    return [
        f"Audit sample: {marked} of {len(rows)} chips marked; `kilnlight audit estimate "
        f"{sheet.parent}` says what follows."
    ]


def _by_chip(asked: pd.DataFrame) -> dict[str, str]:
    """The answer that stands for each chip."""
    by_place = asked.drop_duplicates("place").set_index("place")["chip_id"]
    answers = statuses(asked)
    return dict(zip(by_place.reindex(answers.index), answers, strict=True))


def _exclude(run: ReviewedRun, decisions: pd.DataFrame) -> list[str]:
    """Put the places that reviewers left out on the run's list of excluded places."""
    asked = decisions[decisions["exclude_m"].notna()]
    if asked.empty:
        return []
    named = run.settings.exclusions
    path = named or run.folder / EXCLUSIONS_FILE
    listed = read_exclusions(path if path.is_file() else None)
    for row in asked.to_dict("records"):
        listed = listed.with_place(
            Exclusion(
                lon=row["lon"],
                lat=row["lat"],
                radius_m=row["exclude_m"],
                reason=str(row["exclude_reason"]),
                added=str(row["decided_at"])[:10],
                site_id=str(row["site_id"]),
            )
        )
    write_exclusions(path, listed.places)
    path.chmod(0o600)
    what = "" if named else f"; give it to runs as `exclusions = {str(path)!r}`"
    return [f"{len(listed.places)} places are on the list of excluded places {path}{what}."]


def _agreement_lines(run: ReviewedRun, placed: pd.DataFrame) -> list[str]:
    disputed = disagreements(placed)
    path = run.folder / DISAGREEMENTS_FILE
    lines = [_words(one) for one in agreements(placed)]
    if len(disputed) or path.exists():
        write_csv(path, list(disputed.columns), disputed.itertuples(index=False, name=None))
        path.chmod(0o600)
    if len(disputed):
        lines.append(
            f"{len(disputed)} places are in dispute and count as unsure ({path}): settle them with "
            f"`kilnlight review {run.path} --queue disputed`."
        )
    return lines


def _words(one: Agreement) -> str:
    kappa = (
        "kappa cannot be had, since both said one and the same"
        if one.kappa != one.kappa
        else f"kappa {one.kappa:.2f} ({one.low:.2f} to {one.high:.2f})"
    )
    return (
        f"{one.first} and {one.second}: {one.places} places in common, {one.agreed:.0%} alike, "
        f"{kappa}."
    )


def audit_folder(run: ReviewedRun) -> Path | None:
    """The run's audit sample, where one was drawn."""
    folder = run.folder / AUDIT
    return folder if (folder / DESIGN_FILE).is_file() else None
