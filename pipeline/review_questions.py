"""`kilnlight review`: which places of a run are asked, in which order, and the pages that ask."""

import csv
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from maps.audit_estimate import DESIGN_FILE, SHEET_FILE
from maps.audit_sample import AUDIT_DESIGN, GROUND, PLACE
from maps.linking import SITES
from maps.review.agreement import disagreements
from maps.review.consensus import place_decisions
from maps.review.decisions import ADJUDICATION, decode
from maps.review.page import About, Known, Question, Sides, review_pages
from maps.review.queue import (
    AUDIT,
    COMPARED,
    DISPUTED,
    POINTS,
    RANKED,
    USEFUL,
    Usefulness,
    deal,
    probability_elsewhere,
    spread_order,
    usefulness,
)
from models.site_class import SiteClass
from pipeline.auditing import sample_run
from pipeline.reviewing import ReviewedRun, audit_folder
from pipeline.run_imagery import scenes_of_run
from tiles.errors import ReviewError
from tiles.files import write_text
from tiles.matching import match_places
from tiles.pictures import Place, View, cut_pictures
from tiles.scene import Scene
from tiles.tables import read_table

QueueName = Literal["mixed", "useful", "ranked", "audit", "disputed"]
ALIASES = {"longitude": "lon", "lng": "lon", "long": "lon", "latitude": "lat", "id": "site_id"}
BOX_COLUMNS = ("length_m", "width_m", "azimuth_deg")
SAME_AS_OURS_M = 60.0  # a place of the other run this near one of ours is ours
# Whether there is imagery at all is seen in small pictures of some places, before all are cut.
PROBE = View(side_m=100.0, side_px=4)
PROBED = 50


@dataclass(frozen=True)
class ReviewRequest:
    """What `kilnlight review` is told.

    Attributes:
        run: a finished run folder.
        out: folder of the pages; RUN/review when absent.
        points: CSV of positions to look at instead of the run's sites.
        n: at most so many places; None for all.
        queue: which places; mixed deals from useful, ranked and audit.
        other: a second run of the same ground, to ask where the two disagree.
        imagery: where the run's imagery lies now, if it was moved.
        audit: chips to draw for an audit sample, if the run has none yet.
        reviewer: name to begin with.
        second: ask what others decided and this reviewer did not, not what nobody decided.
        per_page: places on a page.
        seed: of the audit sample.
    """

    run: Path
    out: Path | None = None
    points: Path | None = None
    n: int | None = None
    queue: QueueName = "mixed"
    other: Path | None = None
    imagery: tuple[str, ...] = ()
    audit: int = 0
    reviewer: str = ""
    second: bool = False
    per_page: int = 1000
    seed: int = 1


def make_review(request: ReviewRequest) -> str:
    """Write the pages, and say what they ask and where they are.

    Raises:
        ReviewError: there is nothing to ask.
        RunFolderError: there is no finished run.
        TableError: the points or a table cannot be read.
    """
    if request.audit and request.points is None:
        _draw_audit(request)
    run = ReviewedRun.open(request.run)
    questions = _questions(run, request)
    if not questions:
        raise ReviewError(
            f"there is nothing to ask in {request.run}: every place is decided; a second reviewer "
            "is asked with --second."
        )
    scenes = scenes_of_run(request.run, request.imagery)
    site_class = SiteClass.model_validate(run.manifest["survey"]["site_class"])
    blind = _blind(questions, scenes, request.run)
    out = request.out or run.folder
    _check_free(out)
    out.mkdir(parents=True, exist_ok=True)
    out.chmod(0o700)
    stale = set(out.glob("page-[0-9][0-9][0-9].html"))
    pages = review_pages(
        questions, scenes, _about(run, request, site_class, blind), per_page=request.per_page
    )
    for name, html in pages:
        write_text(out / name, html)
        (out / name).chmod(0o600)
        stale.discard(out / name)
    for path in stale:
        path.unlink()  # a page of an earlier list beside this one would be taken for this one's
    asked = pd.Series([question.queue for question in questions]).value_counts()
    words = ", ".join(f"{asked[name]} {name}" for name in asked.index)
    told = [f"{len(questions)} places to look at ({words}).", blind, f"Open {out / 'index.html'}"]
    return "\n".join(line for line in told if line)


def read_points(path: Path) -> pd.DataFrame:
    """Read a CSV of positions: lon, lat, and perhaps site_id (or id), a box, and why.

    Returns:
        site_id, lon, lat, length_m, width_m, azimuth_deg (NaN where the file has none), why.

    Raises:
        ReviewError: it is no such file, or a row is no position.
    """
    try:
        text = decode(path.read_bytes()).lstrip("\ufeff")
    except OSError as error:
        raise ReviewError(f"{path} cannot be read: check the path.") from error
    first = text.partition("\n")[0]
    lines = csv.reader(text.splitlines(), delimiter=max(",;\t", key=first.count))
    header = [name.strip().lower() for name in next(lines, [])]
    header = [ALIASES.get(name, name) for name in header]
    if not {"lon", "lat"} <= set(header):
        raise ReviewError(f"{path} must have the columns lon and lat: rename its columns.")
    rows = [
        _point(dict(zip(header, cells, strict=False)), number, path)
        for number, cells in enumerate(lines, start=2)
        if any(cells)
    ]
    points = pd.DataFrame(rows, columns=["site_id", "lon", "lat", *BOX_COLUMNS, "why"])
    nth = points.groupby("site_id").cumcount()  # lists name two places alike: both are asked
    points["site_id"] += np.where(nth > 0, "-" + (nth + 1).astype(str), "")
    return points


def _point(cells: dict[str, str], number: int, path: Path) -> dict[str, object]:
    numbers = {}
    for name, most in (("lon", 180.0), ("lat", 90.0)):
        try:
            numbers[name] = float(cells[name].replace(",", "."))
        except (ValueError, KeyError):
            numbers[name] = np.nan
        if not -most <= numbers[name] <= most:
            raise ReviewError(
                f"{path}, line {number}, column {name}: {cells.get(name, '')!r} is no such "
                "degree: correct it."
            )
    box = {name: pd.to_numeric(cells.get(name) or "nan", errors="coerce") for name in BOX_COLUMNS}
    names = {"site_id": cells.get("site_id") or f"point-{number - 1}"}
    return {**names, **numbers, **box, "why": cells.get("why", "")}


def _check_free(out: Path) -> None:
    """Refuse a folder whose index.html is no review page: it would be written over."""
    index = out / "index.html"
    if index.is_file() and "<title>Review: " not in index.read_text("utf-8", errors="replace"):
        raise ReviewError(f"{index} is no review page: choose another --out.")


def _draw_audit(request: ReviewRequest) -> None:
    """Draw the run's audit sample once: marks on another draw would not fit it."""
    run = ReviewedRun.open(request.run)
    if audit_folder(run) is None:
        sample_run(request.run, request.audit, run.folder / "audit", request.seed)


def _questions(run: ReviewedRun, request: ReviewRequest) -> list[Question]:
    if request.points is not None:
        points = read_points(request.points)
        left = points[_open(points, run, request)]
        order = [(str(name), POINTS) for name in left["site_id"]]
        return list(_of_sites(left, order, {}))[: request.n]
    if request.queue == DISPUTED:
        return list(_disputed(run))[: request.n]
    sites = run.sites.sort_values("rank", kind="stable", ignore_index=True)
    extra = _only_elsewhere(sites, request.other)
    useful = usefulness(sites, _elsewhere(sites, request.other))
    chips = _chips(run, request)
    queues = _queues(run, sites, extra, useful, chips, request)
    order = deal(queues, request.n)
    why = dict(zip(sites["site_id"], useful.why, strict=True))
    asked = pd.concat([sites.drop(columns="geometry"), extra], ignore_index=True)
    by_name = {question.site_id: question for question in _of_sites(asked, order, why)}
    return [chips[name] if queue == AUDIT else by_name[name] for name, queue in order]


def _queues(
    run: ReviewedRun,
    sites: pd.DataFrame,
    extra: pd.DataFrame,
    useful: Usefulness,
    chips: dict[str, Question],
    request: ReviewRequest,
) -> dict[str, list[str]]:
    """Names of the places that are still open, by queue."""
    unasked = _open(sites, run, request)
    names = sites["site_id"].to_numpy(dtype=object)
    cells = [str(cell) for cell in sites["cell_id"]]
    best = [str(names[at]) for at in spread_order(useful.worth, cells) if unasked[at]]
    others = [str(name) for name in extra.loc[_open(extra, run, request), "site_id"]]
    learnt_from = USEFUL if request.other is None else COMPARED
    queues = {
        AUDIT: list(chips),
        learnt_from: [*others, *best],
        RANKED: [str(name) for name in names[unasked]],
    }
    if request.queue == "mixed":
        return queues
    drawn = set() if request.queue == AUDIT else set(chips)  # who sees their score answers by it
    queue = learnt_from if request.queue == USEFUL else request.queue
    return {queue: [name for name in queues[queue] if name not in drawn]}


def _open(places: pd.DataFrame, run: ReviewedRun, request: ReviewRequest) -> npt.NDArray[np.bool_]:
    """Say of each place whether this reviewer is to be asked."""
    placed = place_decisions(run.decisions, places)
    known = placed[placed["known"]]
    decided = places["site_id"].isin(set(known["place"])).to_numpy(bool)
    if not request.second:
        return ~decided
    mine = known.loc[known["reviewer"] == request.reviewer, "place"]
    return decided & ~places["site_id"].isin(set(mine)).to_numpy(bool)


def _elsewhere(sites: pd.DataFrame, other: Path | None) -> npt.NDArray[np.float64] | None:
    return None if other is None else probability_elsewhere(sites, _sites_of(other))


def _sites_of(run: Path) -> pd.DataFrame:
    return pd.DataFrame(read_table(run / "sites.parquet", SITES)).drop(columns="geometry")


def _only_elsewhere(sites: pd.DataFrame, other: Path | None) -> pd.DataFrame:
    """Sites of the second run where ours has none, surest first."""
    if other is None:
        return pd.DataFrame(sites.iloc[:0]).drop(columns="geometry")
    theirs = _sites_of(other)
    ours = match_places(sites, theirs, SAME_AS_OURS_M).second
    left = theirs.drop(index=theirs.index[ours]).sort_values("p_site", ascending=False)
    return left[~left["site_id"].isin(set(sites["site_id"]))]


def _of_sites(
    sites: pd.DataFrame, order: Sequence[tuple[str, str]], why: dict[str, str]
) -> Iterator[Question]:
    """Questions about places of a table, in an order of (site_id, queue)."""
    rows = {str(row["site_id"]): row for row in sites.to_dict("records")}
    for name, queue in order:
        if name not in rows:
            continue
        row = rows[name]
        p_site = row.get("p_site")
        words = {RANKED: f"number {row.get('rank')} of the list", POINTS: str(row.get("why", ""))}
        yield Question(
            kind=PLACE,
            site_id=name,
            lon=float(row["lon"]),
            lat=float(row["lat"]),
            queue=queue,
            why=words.get(queue, why.get(name, "found by the other run alone")),
            box=_sides(row),
            p_site=None if p_site is None else float(p_site),
        )


def _sides(row: Mapping[Hashable, object]) -> Sides | None:
    length, width, azimuth = (float(str(row[name])) for name in BOX_COLUMNS)
    if np.isnan(length) or np.isnan(width):
        return None
    return Sides(length, width, float(np.nan_to_num(azimuth)))


def _chips(run: ReviewedRun, request: ReviewRequest) -> dict[str, Question]:
    """The chips of the run's audit sample that are not answered, by the name that they go by.

    A chip that is a place goes by its site, so that nobody is asked the same place twice. What the
    detector thinks of it is not shown: who knows it answers otherwise.
    """
    folder = audit_folder(run)
    if folder is None:
        return {}
    design = read_table(folder / DESIGN_FILE, AUDIT_DESIGN)
    circled = _circled(folder)
    done = run.decisions[run.decisions["chip_id"] != ""]
    mine = done["reviewer"] == request.reviewer
    answered = set(done.loc[mine if request.second else mine | ~mine, "chip_id"])
    if request.second:
        answered |= set(design["chip_id"]) - set(done["chip_id"])
    boxes = {str(row["site_id"]): _sides(row) for row in run.sites.to_dict("records")}
    chips = {}
    for chip in design.to_dict("records"):
        if chip["chip_id"] in answered:
            continue
        site = str(chip["site_id"] or "") if chip["kind"] == PLACE else ""
        chips[site or str(chip["chip_id"])] = Question(
            kind=str(chip["kind"]),
            site_id=site,
            lon=float(chip["lon"]),
            lat=float(chip["lat"]),
            queue=AUDIT,
            why="drawn by chance, to tell how good the survey is",
            box=boxes.get(site),
            chip_id=str(chip["chip_id"]),
            known=circled.get(str(chip["chip_id"]), ()),
        )
    return chips


def _circled(folder: Path | None) -> dict[str, tuple[Known, ...]]:
    """The list's sites in each chip of an audit sample; a count is of what stands beside them."""
    if folder is None:
        return {}
    with (folder / SHEET_FILE).open(encoding="utf-8-sig", newline="") as stream:
        return {row["chip_id"]: tuple(_known(row["known_at"])) for row in csv.DictReader(stream)}


def _known(text: str) -> Iterator[Known]:
    for pair in filter(None, text.split("; ")):
        lat, lon = pair.split(", ")
        yield Known(float(lon), float(lat))


def _disputed(run: ReviewedRun) -> Iterator[Question]:
    """Places that reviewers decided differently, with what each said."""
    boxes = {str(row["site_id"]): _sides(row) for row in run.sites.to_dict("records")}
    disputed = disagreements(place_decisions(run.decisions, run.sites))
    circled = _circled(audit_folder(run))
    for row in disputed.to_dict("records"):
        ground = bool(row["chip_id"]) and not row["site_id"]
        yield Question(
            kind=GROUND if ground else PLACE,
            site_id=str(row["site_id"]),
            lon=float(row["lon"]),
            lat=float(row["lat"]),
            queue=DISPUTED,
            why="reviewers disagree: your answer stands",
            box=boxes.get(str(row["place"])),
            chip_id=str(row["chip_id"]),
            known=circled.get(str(row["chip_id"]), ()) if ground else (),
            said=str(row["said"]),
            stage=ADJUDICATION,
        )


def _about(run: ReviewedRun, request: ReviewRequest, site_class: SiteClass, blind: str) -> About:
    settings = run.settings
    region = settings.name or (
        settings.region.stem if settings.region else run.path.absolute().name
    )
    usual = Sides(
        float(np.sqrt(site_class.length_m.low * site_class.length_m.high)),
        float(np.sqrt(site_class.width_m.low * site_class.width_m.high)),
        0.0,
    )
    return About(
        title=", ".join(filter(None, (f"{site_class.title}s", region, settings.period))),
        site_title=site_class.title,
        disclaimer=site_class.disclaimer,
        survey=run.survey_name,
        usual_box=usual,
        reviewer=request.reviewer,
        simulated=settings.simulated,
        blind=blind,
    )


def _blind(questions: Sequence[Question], scenes: Sequence[Scene], run: Path) -> str:
    """One sentence where imagery is missing; empty where it is there."""
    if not scenes:
        return (
            f"The imagery of {run} is not where it was, so places have no picture: give --imagery, "
            "or look each position up yourself."
        )
    probed = questions[:: max(1, len(questions) // PROBED)]
    seen = cut_pictures(scenes, [Place(one.lon, one.lat) for one in probed], PROBE)
    if all(seen):
        return ""
    share = sum(not pictures for pictures in seen) / len(probed)
    return f"About {share:.0%} of the places lie where the imagery that is there shows nothing."
