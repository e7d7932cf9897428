"""The model card for people: the weights' own card as a page of Markdown, so that both agree."""

from __future__ import annotations

from models.licences import forbids_commerce
from models.site_class import SiteClass
from models.weights import Figure, PatchShape, WeightsCard

# Behind a region's name, where its figures are those of trainings that held all of it out.
NEVER_SEEN = ", a region never seen"
# Below the figures: what they are of, and what flatters them.
MEASURED = (
    "Measured on places that the training in question never saw, split by place and never at "
    "random; intervals from resampling blocks of land (10 km). Weights trained on everything carry "
    "figures of networks trained alike while these places were held out. The threshold was chosen "
    "on the same scores, unless other places were set aside for that, which flatters F1, precision "
    "and recall a little, and average precision not at all. In a region never seen it is the one "
    "that is best in the other regions. Labels are taken as the notes on them correct them."
)
# The same for the classifier of squares.
MEASURED_SQUARES = (
    "Measured on single chips of galleries and places that the training in question never saw; the "
    "weights themselves are trained on all folds. Hard negatives are mistakes of earlier "
    "detectors; random land was drawn at random and never trained on. Means over folds, by their "
    "number of sites; intervals from resampling places. The threshold was chosen on the same "
    "scores, which flatters the figures at it a little, and the others not at all."
)
# The same for weights that `kilnlight adapt` wrote.
MEASURED_ADAPTED = (
    "Measured in regions that no label came from, on networks trained without the region and then "
    "adapted to its imagery without its labels: scored on that same imagery, with the threshold "
    "that is best in the other regions so adapted; intervals from resampling blocks of land "
    "(10 km). In the region that weights are adapted to nobody knows how good they are until "
    "somebody looks at a sample: `kilnlight audit`."
)
SEEDS = (
    " Where a spread is given, the figure is the mean of networks trained from several seeds, and "
    "the spread is the greatest less the smallest of them."
)
# What a card must never be silent about (Mitchell et al., 2019, section 4.2).
MUST_NOT = (
    "to say that a place or a person breaks the law, or that anybody there is forced to work: "
    "labour conditions are not assessed, and from space nobody can assess them",
    "to raid, close, evict or publish single places without people who know them having looked",
    "as a census: sites are missed and others taken for them, both at the rates below",
    "on imagery, regions or seasons unlike those it was trained on, without looking at a sample: "
    "the program flags such imagery and widens its intervals, but not every such place is flagged",
    "to watch people: it is made for buildings and pits of tens of metres",
)


def card_markdown(card: WeightsCard, site_class: SiteClass) -> str:
    """A model card after Mitchell et al. (2019): what, for whom, how good, where it fails.

    Args:
        card: Of the weights.
        site_class: That the weights find.
    """
    sections = [
        f"# Model card: {card.name} {card.version}",
        _what(card, site_class),
        "## Intended use\n\n" + _use(site_class),
        "## Must not be used\n\n" + _bullets(MUST_NOT),
        "## Licence\n\n" + _licence(card),
        "## Training data\n\n" + _bullets(card.trained_on or ("not stated",)) + _places(card),
        "## Figures\n\n" + _figures(card),
        *_once_adapted(card),
        "## Probabilities\n\n" + _probabilities(card),
        "## Known failures\n\n" + _bullets(card.limits or ("none recorded",)),
    ]
    return "\n\n".join(sections) + "\n"


def _what(card: WeightsCard, site_class: SiteClass) -> str:
    rows = {
        "finds": f"{site_class.title.lower()}s: {site_class.disclaimer}",
        "takes": f"{', '.join(card.bands)} at {card.gsd_m:g} m, any scaling: every pixel is "
        f"normalised by the mean and deviation of a window of {card.shape.window_px} px",
        "gives": f"{_shapes(card)} with a score; a peak of the score is a detection above "
        f"{card.threshold:.2f}",
        "network": _network(card),
        "licence of the weights": card.licence,
    }
    return "\n".join(
        ["| | |", "|---|---|", *(f"| {key} | {value} |" for key, value in rows.items())]
    )


def _shapes(card: WeightsCard) -> str:
    return "squares" if isinstance(card.shape, PatchShape) else "oriented boxes"


def _network(card: WeightsCard) -> str:
    shape = card.shape
    if isinstance(shape, PatchShape):
        return (
            f"a classifier of squares of {shape.chip_px} px run over the whole scene, "
            f"{' and '.join(map(str, shape.channels))} channels at strides 4 and 8; halo "
            f"{card.halo_px} px"
        )
    return (
        f"fully convolutional, {shape.fine_channels or 'no'} channels at full resolution, "
        f"{shape.stem_channels}, {shape.stage_channels[0]} and {shape.stage_channels[1]} at "
        f"strides 2, 4 and 8; halo {card.halo_px} px"
    )


def _use(site_class: SiteClass) -> str:
    return (
        f"For surveys of {site_class.title.lower()}s over whole regions: to say how many there are "
        "about, with an interval, and where to look first. For researchers, for organisations that "
        "support workers, and for public bodies that plan inspections of whole areas. A person "
        "looks at what was found before anybody acts on it."
    )


def _licence(card: WeightsCard) -> str:
    words = f"The weights are {card.licence}."
    if forbids_commerce(card.licence):
        words += " NC: no commercial use, because imagery or labels they learnt from allow none."
    if card.adapted_to:
        words += (
            " The imagery that they were adapted to has its own: where that is stricter, it holds."
        )
    return words


def _places(card: WeightsCard) -> str:
    words = ""
    if card.adapted_to:
        more = f" and {len(card.adapted_to) - 1} more" if len(card.adapted_to) > 1 else ""
        words = f"\n\nAdapted to unlabelled imagery: {card.adapted_to[0]}{more}."
    if not card.trained_places:
        return words
    named = ", ".join(f"{p.name} ({p.lat:.1f} N, {p.lon:.1f} E)" for p in card.trained_places)
    return f"\n\nPlaces: {named}. Far from them nobody knows how the detector does." + words


def _figures(card: WeightsCard) -> str:
    if not card.figures:
        if card.adapted_to:
            return "None: how good these weights are once adapted was never measured."
        return "None: nothing was held out from this training."
    measured = MEASURED_SQUARES if isinstance(card.shape, PatchShape) else MEASURED
    return _tables(card.figures, MEASURED_ADAPTED if card.adapted_to else measured)


def _once_adapted(card: WeightsCard) -> list[str]:
    """What `kilnlight adapt` would make of the weights."""
    if card.once_adapted is None:
        return []
    return [
        "## Once adapted to a region\n\n" + _tables(card.once_adapted.figures, MEASURED_ADAPTED)
    ]


def _tables(figures: tuple[Figure, ...], measured: str) -> str:
    """A table a region, and what the figures are of."""
    seeds = any(figure.seed_spread is not None for figure in figures)
    tables = [
        _table(region, [f for f in figures if _region(f) == region], seeds)
        for region in dict.fromkeys(_region(f) for f in figures)
    ]
    return "\n\n".join([*tables, measured + (SEEDS if seeds else "")])


def _region(figure: Figure) -> str:
    """Figures are named `region: what`; one without a region stands under no heading."""
    return figure.name.partition(": ")[0] if ": " in figure.name else ""


def _table(region: str, figures: list[Figure], seeds: bool) -> str:
    lines = [f"### {region}", ""] if region else []
    lines += ["| | value | 95 % interval |" + (" spread over seeds |" if seeds else "")]
    lines += ["|---|---|---|" + ("---|" if seeds else "")]
    for figure in figures:
        cells = [figure.name.removeprefix(f"{region}: "), _number(figure.value), _interval(figure)]
        if seeds:
            cells.append("" if figure.seed_spread is None else _number(figure.seed_spread))
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _number(value: float) -> str:
    """Shares to three decimals, rates to one."""
    return f"{value:.3f}" if abs(value) <= 1 else f"{value:.1f}"


def _interval(figure: Figure) -> str:
    if figure.low is None or figure.high is None:
        return ""
    return f"{_number(figure.low)} to {_number(figure.high)}"


def _probabilities(card: WeightsCard) -> str:
    c = card.calibration
    if not c.n_true:
        return "Not calibrated: nothing was held out, so probabilities are a placeholder."
    within = [figure for figure in card.figures if NEVER_SEEN not in figure.name]
    seeds = ", all seeds together" if any(f.seed_spread is not None for f in within) else ""
    words = (
        f"log-odds of P = {c.intercept:.2f} + {c.slope:.2f} x log-odds of the score, fitted on "
        f"{c.n_true} detections of a site and {c.n_false} others in places not trained on{seeds}, "
        f"for land with {c.prevalence_per_1000km2:g} sites per 1,000 km2. At the threshold "
        f"{card.recall.mean:.0%} of sites are found (95 % interval {card.recall.low:.0%} to "
        f"{card.recall.high:.0%})."
    )
    if c.variance_between:
        words += (
            f" Between regions the log-odds differ by {c.variance_between**0.5:.2f} (standard "
            "deviation), which is in every interval."
        )
    if c.variance_elsewhere:
        words += (
            f" In regions never seen they were off by {c.variance_elsewhere**0.5:.2f} (root mean "
            "square), which is in the intervals of surveys far from all places trained on."
        )
    return words + " On imagery unlike the training data the interval is wider still."


def _bullets(lines: tuple[str, ...]) -> str:
    return "\n".join(f"- {line}" for line in lines)
