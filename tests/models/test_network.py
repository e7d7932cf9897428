"""The network's geometry: shapes, one radiometry, the stated receptive field, folded norms."""

import numpy as np
import pytest
import torch
from torch import Tensor

from models.network import (
    CELL_PX,
    CLIP,
    N_OUTPUTS,
    KilnNet,
    fold_batch_norms,
    normalise,
    receptive_radius_px,
)
from models.weights import NetworkShape
from tests.models.made_up_models import SMALL, made_up_land


def as_batch(land: np.ndarray) -> tuple[Tensor, Tensor]:
    pixels = torch.from_numpy(land.astype(np.float32))[None]
    return pixels, torch.ones(1, 1, *land.shape[1:])


def test_outputs_are_at_half_resolution() -> None:
    net = KilnNet(SMALL).eval()
    out = net(torch.zeros(2, 3, 64, 96))
    assert out.shape == (2, N_OUTPUTS, 64 // CELL_PX, 96 // CELL_PX)


def test_an_untrained_network_expects_one_centre_in_a_hundred_cells() -> None:
    net = KilnNet(SMALL).eval()
    assert torch.sigmoid(net.out.bias[0]).item() == pytest.approx(0.01)


@pytest.mark.parametrize(("gain", "offset"), [(1.0, 0.0), (40.0, 0.0), (1e-4, 0.0)])
def test_scaling_of_the_file_drops_out(gain: float, offset: float) -> None:
    pixels, usable = as_batch(made_up_land(96, 96))
    same = normalise(pixels, usable, SMALL)
    scaled = normalise(pixels * gain + offset, usable, SMALL)
    assert torch.allclose(same, scaled, atol=1e-3)
    assert same.std() > 0.5
    assert same.abs().max() <= CLIP


def test_normalised_windows_have_mean_zero_and_deviation_one() -> None:
    rng = np.random.default_rng(1)
    land = (100 + 10 * rng.normal(size=(3, 240, 240))).astype(np.float32)
    pixels, usable = torch.from_numpy(land)[None], torch.ones(1, 1, 240, 240)
    z = normalise(pixels, usable, SMALL)[..., 60:180, 60:180]
    assert z.mean().item() == pytest.approx(0.0, abs=0.01)
    # The floor of 2 % of the brightness adds (0.02 * 100)^2 = 4 to a variance of 100.
    assert z.std().item() == pytest.approx((100 / 104) ** 0.5, abs=0.01)


def test_unusable_pixels_are_zero_and_in_no_mean() -> None:
    land = made_up_land(96, 96)
    pixels, usable = as_batch(land)
    usable[..., 30:50, 20:60] = 0
    first = normalise(pixels, usable, SMALL)
    pixels[..., 30:50, 20:60] = 1e6
    second = normalise(pixels, usable, SMALL)
    assert torch.equal(first, second)
    assert first[..., 30:50, 20:60].abs().max() == 0


def test_a_flat_picture_is_not_blown_up() -> None:
    rng = np.random.default_rng(2)
    flat = 1000 + rng.normal(size=(1, 3, 96, 96)).astype(np.float32)  # contrast 0.1 %
    z = normalise(torch.from_numpy(flat), torch.ones(1, 1, 96, 96), SMALL)
    assert z.std() < 0.1


@pytest.mark.parametrize(
    "shape",
    [
        SMALL,
        SMALL.model_copy(update={"blocks": 2}),
        SMALL.model_copy(update={"fine_channels": 4, "window_px": 56}),
    ],
)
def test_nothing_beyond_the_receptive_radius_matters(shape: NetworkShape) -> None:
    torch.manual_seed(0)
    net = KilnNet(shape).eval()
    radius = receptive_radius_px(shape)
    side = 8 * (2 * (radius // 8) + 12)
    pixels, usable = as_batch(made_up_land(side, side))
    middle = side // 2
    reached = 0
    with torch.inference_mode():
        before = net(normalise(pixels, usable, shape))
        for shift in range(0, 8, 3):  # the pooling grid makes the reach depend on the phase
            row, col = middle + shift, middle + 2 * shift
            other = pixels.clone()
            other[..., row, col] += 120
            after = net(normalise(other, usable, shape))
            changed = torch.nonzero((after != before)[0].any(0))
            first, last = CELL_PX * changed.min(0).values, CELL_PX * changed.max(0).values + 1
            here = torch.tensor([row, col])
            reached = max(reached, int((here - first).max()), int((last - here).max()))
    assert reached <= radius
    assert reached > radius - 24  # the statement is not idle either


def test_folding_batch_norms_changes_nothing() -> None:
    torch.manual_seed(0)
    net = KilnNet(SMALL)
    net.train()
    with torch.no_grad():
        for _ in range(3):
            net(torch.randn(2, 3, 64, 64))
    net.eval()
    x = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        before = net(x)
        after = fold_batch_norms(net)(x)
    assert torch.allclose(before, after, atol=1e-4)
