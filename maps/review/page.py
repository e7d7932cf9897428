"""The review pages: one place after another with its pictures, sealed, offline, by keyboard."""

import base64
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from maps.audit_sample import GROUND, SIDE_M
from maps.page import CSP_MARK, asset, policy, script_json
from maps.review.decisions import NAMES, REVIEW
from tiles.pictures import Picture, Place, View, cut_pictures, metres_per_degree
from tiles.scene import Scene

NEAR = View(side_m=640.0, side_px=192)  # a kiln of 100 m is a sixth of the picture
FAR = View(side_m=2000.0, side_px=200)  # the fields, roads and villages around; pixels of 10 m
PLACES_PER_PAGE = 1000  # 20 MB: a phone opens it, and a reviewer needs three hours for it
SCRIPTS = ("review_store.js", "review_box.js", "review.js")
KEYS = (
    ("Y", "yes, it is one; a box that you moved is kept with it"),
    ("N", "no"),
    ("U", "unsure, the pictures do not tell"),
    ("W", "something else: another kind of site"),
    ("0 to 9", "how many, where a square of ground is asked about; I: not imaged"),
    ("Z", "undo the last answer, again and again"),
    ("J, K", "next and last place without an answer; G: next place without one"),
    ("Arrows", "move the box by 10 m, with Shift by 2 m"),
    ("[ ]", "turn the box"),
    ("+ -", "longer, shorter; . and , for wider and narrower"),
    ("D", "draw the box anew: drag from one end of its long side to the other"),
    ("R", "the box as it was"),
    ("A", "another one here that no box shows: place it, then Enter"),
    ("B, C, S", "box on and off, contrast, smooth picture or single pixels"),
    ("X", "leave this place out of every output"),
    ("T", "write a note; Enter goes back"),
    ("E", "export your answers as CSV"),
)


@dataclass(frozen=True)
class Question:
    """One thing to look at.

    Attributes:
        kind: `place` (is it one?) or `ground` (how many are in the square?), as in an audit sample.
        site_id: the place's name; empty for ground.
        lon: longitude of the middle, degrees.
        lat: latitude of the middle, degrees.
        queue: why it is asked, in one word; see `maps.review.queue`.
        why: the same for the reviewer.
        box: length and width in metres and azimuth in degrees; None where none is known.
        p_site: shown beside; None where the answer must not lean on it.
        chip_id: of an audit sample.
        known: sites of the list in the square, (lon, lat).
        said: what others said, where their disagreement is settled.
        stage: review or adjudication.
    """

    kind: str
    site_id: str
    lon: float
    lat: float
    queue: str
    why: str
    box: "Sides | None" = None
    p_site: float | None = None
    chip_id: str = ""
    known: tuple["Known", ...] = ()
    said: str = ""
    stage: str = REVIEW


@dataclass(frozen=True)
class Sides:
    """An oriented box by its sides."""

    length_m: float
    width_m: float
    azimuth_deg: float


@dataclass(frozen=True)
class Known:
    """Where a site of the list lies."""

    lon: float
    lat: float


@dataclass(frozen=True)
class About:
    """What the pages say beside the places.

    Attributes:
        title: of the survey: class, region, months.
        site_title: what is looked for, e.g. Brick kiln.
        disclaimer: the class's sentence.
        survey: short name of the run, kept with each decision.
        usual_box: drawn where no box is known, metres.
        reviewer: name to begin with; may be empty.
        simulated: the imagery is made up.
        blind: a sentence where pictures are missing; empty where all are there.
    """

    title: str
    site_title: str
    disclaimer: str
    survey: str
    usual_box: Sides
    reviewer: str = ""
    simulated: bool = False
    blind: str = ""


def review_pages(
    questions: Sequence[Question],
    scenes: Sequence[Scene],
    about: About,
    dates: int = 4,
    per_page: int = PLACES_PER_PAGE,
) -> Iterator[tuple[str, str]]:
    """Yield name and content of each page; one page is index.html, of several that lists them.

    Pictures of one page are held at a time.

    Args:
        questions: in the order in which to ask.
        scenes: imagery to cut pictures from; places that none shows have none.
        about: what stands beside.
        dates: at most so many dates a place, the latest large.
        per_page: places on a page.
    """
    pages = max(1, math.ceil(len(questions) / per_page))
    parts = [questions[n * per_page : (n + 1) * per_page] for n in range(pages)]
    for number, part in enumerate(parts, start=1):
        name = "index.html" if pages == 1 else f"page-{number:03d}.html"
        yield name, _page(part, scenes, about, dates, number, pages)
    if pages > 1:
        ends = [min(n * per_page + per_page, len(questions)) for n in range(pages)]
        ranges = [(f"page-{n + 1:03d}.html", n * per_page + 1, end) for n, end in enumerate(ends)]
        yield (
            "index.html",
            _render(
                "review_index.html.j2", [], about, pages=pages, ranges=ranges, total=len(questions)
            ),
        )


def _page(
    questions: Sequence[Question],
    scenes: Sequence[Scene],
    about: About,
    dates: int,
    number: int,
    pages: int,
) -> str:
    places = [Place(question.lon, question.lat) for question in questions]
    near = cut_pictures(scenes, places, NEAR, dates)
    far = cut_pictures(scenes, places, FAR)
    block = {
        "name": f"{about.survey}_{number}",
        "survey": about.survey,
        "columns": NAMES,
        "near_m": NEAR.side_m,
        "far_m": FAR.side_m,
        "ground_m": SIDE_M,
        "usual_box": [about.usual_box.length_m, about.usual_box.width_m],
        "places": [
            _place(question, about, pictures, around)
            for question, pictures, around in zip(questions, near, far, strict=True)
        ],
    }
    return _render(
        "review.html.j2",
        [asset(name) for name in SCRIPTS],
        about,
        data=script_json(block),
        number=number,
        pages=pages,
        keys=KEYS,
    )


def _place(
    question: Question,
    about: About,
    near: Sequence[Picture],
    far: Sequence[Picture],
) -> dict[str, object]:
    """A place as review.js reads it; `known` in metres east and north of its middle."""
    name = question.site_id or question.chip_id
    scale = metres_per_degree(question.lat)
    return {
        "key": f"{question.stage} {name} {question.lat:.4f} {question.lon:.4f}",
        "kind": question.kind,
        "site": question.site_id,
        "lon": round(question.lon, 6),
        "lat": round(question.lat, 6),
        "queue": question.queue,
        "why": question.why,
        "question": _question(question, about),
        "box": None
        if question.box is None
        else [round(v, 1) for v in asdict(question.box).values()],
        "p": None if question.p_site is None else round(question.p_site, 2),
        "chip": question.chip_id,
        "known": [
            [
                round((known.lon - question.lon) * scale.lon, 1),
                round((known.lat - question.lat) * scale.lat, 1),
            ]
            for known in question.known
        ],
        "said": question.said,
        "stage": question.stage,
        "near": [_picture(picture) for picture in near],
        "far": _picture(far[0]) if far else None,
    }


def _question(question: Question, about: About) -> str:
    title = about.site_title.lower()
    if question.kind == GROUND:
        return f"How many {title}s have their middle in the square, beside those circled?"
    return f"Is there a {title} in the middle?"


def _picture(picture: Picture) -> dict[str, str]:
    return {
        "date": picture.date or "",
        "image": base64.b64encode(picture.webp()).decode("ascii"),
    }


def _render(template: str, scripts: Sequence[str], about: About, **content: object) -> str:
    templates = Environment(
        loader=PackageLoader("maps", "assets"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    css = "\n".join([asset("base.css"), asset("review.css")])
    html = templates.get_template(template).render(
        about=about, css=Markup(css), scripts=[Markup(script) for script in scripts], **content
    )
    # 'self' is nobody for a page opened from disk; from `kilnlight serve` it is that server alone
    allowed = f"{policy(scripts, [css])}; connect-src 'self'"
    return html.replace(CSP_MARK, allowed, 1)
