"""Whether weights can be judged, or trained on, where a dataset holds something out."""

from __future__ import annotations

from models.labelled.dataset import Dataset
from models.site_class import SiteClass
from models.weights import ADAPTED_SUFFIX, WeightsCard
from tiles.errors import DatasetError


def check_never_seen(card: WeightsCard, dataset: Dataset) -> None:
    """Refuse weights that learnt from what a dataset holds out: figures there would flatter them.

    A card names the sources that weights learnt from, and weights of a fold are named after it;
    adapting them teaches no label.

    Raises:
        DatasetError: They learnt from a source of what is held out, and not with this fold.
    """
    if card.name.removesuffix(ADAPTED_SUFFIX) == dataset.weights_name:
        return
    shared = [source for source in dataset.held_out if source in card.trained_on]
    if shared:
        raise DatasetError(
            f"{card.name} learnt from '{shared[0]}', of which the fold {dataset.fold!r} of "
            f"{dataset.file.name} holds something out, so nothing measured there would be of "
            f"places never seen: take weights that `kilnlight train --fold {dataset.fold}` made."
        )


def check_class(card: WeightsCard, site_class: SiteClass) -> None:
    """Refuse weights that find something else than what is labelled.

    Raises:
        DatasetError: They do.
    """
    if card.site_class != site_class.name:
        raise DatasetError(
            f"{card.name} finds {card.site_class}, and the labels are of the class "
            f"{site_class.name}: name weights of that class with --weights, or the labels' class "
            "with --class."
        )
