"""The classifier of chips: shapes, and what gain, offset and gaps do to the two views."""

import numpy as np
import pytest
import torch
from torch import Tensor

from models.patches.network import CLIP, PatchNet, two_views
from tests.models.made_up_chips import SMALL_PATCHES
from tests.models.made_up_models import made_up_land


def as_batch(land: np.ndarray) -> tuple[Tensor, Tensor]:
    pixels = torch.from_numpy(land.astype(np.float32))[None]
    return pixels, torch.ones(1, 1, *land.shape[1:])


def test_a_chip_gives_one_logit() -> None:
    net = PatchNet(SMALL_PATCHES).eval()
    assert net(torch.zeros(5, 6, 32, 32)).shape == (5,)
    assert net(torch.zeros(2, 6, 48, 48)).shape == (2,)


@pytest.mark.parametrize("gain", [40.0, 0.31, 1e-4])
def test_gain_drops_out_of_both_views(gain: float) -> None:
    pixels, usable = as_batch(made_up_land(48, 48))
    same = two_views(pixels, usable)
    assert torch.allclose(same, two_views(pixels * gain, usable), atol=2e-3)
    assert same.abs().max() <= CLIP
    assert same[:, :3].std() > 0.5


def test_an_offset_drops_out_of_the_contrast_and_weakens_the_ratio() -> None:
    pixels, usable = as_batch(made_up_land(48, 48))
    same, hazy = two_views(pixels, usable), two_views(pixels + 20, usable)
    # The floor of 5 % of the brightness is all that changes.
    assert (hazy[:, :3] - same[:, :3]).abs().mean() < 0.05
    assert 0.5 < (hazy[:, 3:].std() / same[:, 3:].std()).item() < 0.95


def test_the_views_by_hand() -> None:
    pixels = torch.zeros(1, 3, 2, 2)
    pixels[0, :, 0] = 150.0
    pixels[0, :, 1] = 50.0
    views = two_views(pixels, torch.ones(1, 1, 2, 2))
    # Mean 100, deviation 50, floor 5: 50 / sqrt(2525); and 2 log 1.5, 2 log 0.5.
    assert views[0, 0, 0, 0].item() == pytest.approx(50 / 2525**0.5)
    assert views[0, 0, 1, 0].item() == pytest.approx(-50 / 2525**0.5)
    assert views[0, 3, 0, 0].item() == pytest.approx(2 * np.log(1.5))
    assert views[0, 3, 1, 0].item() == pytest.approx(2 * np.log(0.5))


def test_flat_forest_is_not_blown_up() -> None:
    rng = np.random.default_rng(2)
    flat = (1000 + 5 * rng.normal(size=(3, 48, 48))).astype(np.float32)  # contrast 0.5 %
    assert two_views(*as_batch(flat)).std() < 0.15


def test_unusable_pixels_are_zero_and_in_no_mean() -> None:
    pixels, usable = as_batch(made_up_land(48, 48))
    usable[..., 10:20, 20:40] = 0
    first = two_views(pixels, usable)
    pixels[..., 10:20, 20:40] = 1e6
    assert torch.equal(first, two_views(pixels, usable))
    assert first[..., 10:20, 20:40].abs().max() == 0
    assert torch.isfinite(two_views(pixels, torch.zeros_like(usable))).all()
