"""The baselines: shuffled blocks keep colours alone, and a colour model finds colours alone."""

from dataclasses import replace

import numpy as np
import pytest

from models.judging.scoring import scored_of
from models.labelled.dataset import Source
from tests.benchmarks.baselines import SHUFFLE_PX, shuffle_blocks, shuffled
from tests.benchmarks.colour_model import (
    STRIP_PX,
    feature_strips,
    fit_colour_model,
    pixel_features,
)
from tests.models.made_up_models import SMALL, made_up_land, simulated_picture
from tiles.errors import DatasetError


def test_each_block_keeps_its_pixels_in_another_order() -> None:
    pixels = made_up_land(45, 70)
    mixed = shuffle_blocks(pixels, np.random.default_rng(0))
    assert mixed.dtype == pixels.dtype
    assert not np.array_equal(mixed, pixels)
    for row in range(0, 40, SHUFFLE_PX):
        for col in range(0, 64, SHUFFLE_PX):
            before, after = (
                sorted(map(tuple, a[:, row : row + 8, col : col + 8].reshape(3, 64).T.tolist()))
                for a in (pixels, mixed)
            )
            assert before == after  # whole pixels, all bands together
    assert np.array_equal(mixed[:, 40:], pixels[:, 40:])
    assert np.array_equal(mixed[:, :, 64:], pixels[:, :, 64:])


def test_the_same_draw_gives_the_same_order_and_the_input_stays() -> None:
    pixels = made_up_land(32, 32)
    kept = pixels.copy()
    first, second = (shuffle_blocks(pixels, np.random.default_rng(7)) for _ in range(2))
    assert np.array_equal(first, second)
    assert np.array_equal(pixels, kept)


def test_copies_of_a_picture_are_shuffled_each_in_its_own_way() -> None:
    picture = simulated_picture(0, 2)
    first, second = shuffled([picture], 2, seed=1)
    assert not np.array_equal(first.pixels, second.pixels)
    assert first.sites is picture.sites
    assert first.pixels.sum() == picture.pixels.sum()


def test_a_colour_model_finds_made_up_kilns_it_never_saw() -> None:
    train = Source("simulation", 1.0, tuple(simulated_picture(i, 3) for i in range(12)))
    model = fit_colour_model([train], SMALL)
    held_out = [simulated_picture(i, 3) for i in range(100, 106)]
    boxes = [model.detect(p) for p in held_out]
    evaluation = scored_of(held_out, boxes).evaluate("simulation", 0.5)
    assert evaluation.at(100).average_precision.value > 0.4
    assert fit_colour_model([train], SMALL).coefficients == pytest.approx(model.coefficients)


def test_strips_of_a_tall_picture_give_the_features_of_the_whole() -> None:
    rows = STRIP_PX + 104
    tall = replace(
        simulated_picture(0), pixels=made_up_land(rows, 64), usable=np.ones((rows, 64), bool)
    )
    joined = np.concatenate([part for _, part in feature_strips(tall, SMALL)], axis=1)
    assert np.allclose(joined, pixel_features(tall, SMALL), atol=1e-5)


def test_without_a_site_there_is_nothing_to_learn() -> None:
    bare = simulated_picture(0, 0)
    with pytest.raises(DatasetError, match="the sources hold none"):
        fit_colour_model([Source("bare", 1.0, (bare,))], SMALL)
