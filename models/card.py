"""The model card for people: the weights' own card as a page of Markdown, so that both agree."""

from __future__ import annotations

from models.site_class import SiteClass
from models.weights import Figure, WeightsCard

# Below the figures: what they are of, and what flatters them.
MEASURED = (
    "Measured on places that the training in question never saw; intervals from resampling blocks "
    "of land (10 km, or tiles). Weights trained on everything carry figures of networks trained "
    "alike while these places were held out; their threshold was then chosen on the same scores, "
    "which flatters F1, precision and recall a little, and average precision not at all."
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
        "## Use\n\n" + _use(site_class),
        "## Training data\n\n" + _bullets(card.trained_on or ("not stated",)),
        "## Figures\n\n" + _figures(card),
        "## Probabilities\n\n" + _probabilities(card),
        "## Known failures\n\n" + _bullets(card.limits or ("none recorded",)),
    ]
    return "\n\n".join(sections) + "\n"


def _what(card: WeightsCard, site_class: SiteClass) -> str:
    rows = {
        "finds": f"{site_class.title.lower()}s: {site_class.disclaimer}",
        "takes": f"{', '.join(card.bands)} at {card.gsd_m:g} m, any scaling: every pixel is "
        f"normalised by the mean and deviation of a window of {card.shape.window_px} px",
        "gives": "oriented boxes with a score; a peak of the score is a detection above "
        f"{card.threshold:.2f}",
        "network": f"fully convolutional, {card.shape.fine_channels or 'no'} channels at full "
        f"resolution, {card.shape.stem_channels}, {card.shape.stage_channels[0]} and "
        f"{card.shape.stage_channels[1]} at strides 2, 4 and 8; halo {card.halo_px} px",
        "licence of the weights": card.licence,
    }
    return "\n".join(
        ["| | |", "|---|---|", *(f"| {key} | {value} |" for key, value in rows.items())]
    )


def _use(site_class: SiteClass) -> str:
    return (
        f"For surveys of {site_class.title.lower()}s over whole regions, where a person looks at "
        "what was found before anybody acts on it. Not for accusing anyone: a site seen from space "
        "says nothing about the people who work there. Not for imagery unlike the training data: "
        "the program compares and warns. The licence allows no commercial use where it says NC."
    )


def _figures(card: WeightsCard) -> str:
    if not card.figures:
        return "None: nothing was held out from this training."
    lines = ["| | value | 95 % interval |", "|---|---|---|"]
    lines += [f"| {f.name} | {f.value:.3f} | {_interval(f)} |" for f in card.figures]
    return "\n".join([*lines, "", MEASURED])


def _interval(figure: Figure) -> str:
    if figure.low is None or figure.high is None:
        return ""
    return f"{figure.low:.3f} to {figure.high:.3f}"


def _probabilities(card: WeightsCard) -> str:
    c = card.calibration
    if not c.n_true:
        return "Not calibrated: nothing was held out, so probabilities are a placeholder."
    return (
        f"log-odds of P = {c.intercept:.2f} + {c.slope:.2f} x log-odds of the score, fitted on "
        f"{c.n_true} detections of a site and {c.n_false} others in places not trained on, for "
        f"land with {c.prevalence_per_1000km2:g} sites per 1,000 km2. At the threshold "
        f"{card.recall.mean:.0%} of sites are found (95 % interval {card.recall.low:.0%} to "
        f"{card.recall.high:.0%})."
    )


def _bullets(lines: tuple[str, ...]) -> str:
    return "\n".join(f"- {line}" for line in lines)
