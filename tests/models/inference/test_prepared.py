"""A block's pixels, normalised window by window as they would be all at once."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F  # noqa: N812

from models.detection import ArrayWindow
from models.inference.prepared import Prepared
from models.network import normalise
from tests.models.made_up_models import SMALL, made_up_land


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32", "float64"])
@pytest.mark.parametrize("hole", [False, True])
def test_windows_are_parts_of_the_whole_normalised_at_once(dtype: str, hole: bool) -> None:
    land = made_up_land(200, 240).astype(dtype)
    usable = np.ones((200, 240), bool)
    usable[90:110, 100:150] = not hole
    x = torch.from_numpy(land.astype(np.float32))[None]
    whole = normalise(x, torch.from_numpy(usable)[None, None], SMALL)
    prepared = Prepared(land, usable, SMALL)
    for window in (ArrayWindow(0, 0, 200, 240), ArrayWindow(64, 80, 72, 96)):
        rows = slice(window.row0, window.row0 + window.rows)
        cols = slice(window.col0, window.col0 + window.cols)
        part = prepared.normalised(window)
        assert torch.allclose(part, whole[..., rows, cols], atol=1e-4)
        assert (part[0, :, ~torch.from_numpy(usable[rows, cols])] == 0).all()


def test_coarse_pixels_are_means_of_fine_ones_and_empty_where_one_is_unusable() -> None:
    land, usable = made_up_land(96, 96), np.ones((96, 96), bool)
    usable[41, 41] = False
    prepared = Prepared(land, usable, SMALL)
    coarse = prepared.coarse(ArrayWindow(16, 16, 64, 64), 2)
    fine = F.avg_pool2d(prepared.normalised(ArrayWindow(16, 16, 64, 64)), 2)
    assert coarse.shape == (1, 3, 32, 32)
    assert (coarse[..., 12, 12] == 0).all()
    fine[..., 12, 12] = 0
    assert torch.allclose(coarse, fine, atol=0.1)  # the mean within 2 x 2 px moves a little


def test_not_a_number_counts_as_unusable() -> None:
    land = made_up_land(64, 64).astype(np.float32)
    land[1, 10, 10] = np.nan
    part = Prepared(land, np.ones((64, 64), bool), SMALL).normalised(ArrayWindow(0, 0, 64, 64))
    assert torch.isfinite(part).all()
    assert (part[..., 10, 10] == 0).all()
