"""Boxes from features are the boxes from all outputs."""

import numpy as np
import pytest
import torch

from models.detection import PixelOrigin
from models.inference.decoding import Decoding, decode, decode_features
from models.inference.fused import FusedNet
from models.network import KilnNet
from tests.models.made_up_models import SMALL, make_weights


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("threshold", [0.05, 0.3, 0.5])
def test_the_last_layer_is_applied_where_it_matters(dtype: torch.dtype, threshold: float) -> None:
    net = KilnNet(SMALL).eval()
    tensors = make_weights().tensors
    net.load_state_dict({name: torch.from_numpy(value) for name, value in tensors.items()})
    fused = FusedNet(net, "cpu", dtype)
    torch.manual_seed(2)
    with torch.inference_mode():
        features = fused.features(torch.randn(1, 3, 160, 128))[0]
        outputs = (features.float() @ fused.out_weight.T + fused.out_bias).permute(2, 0, 1)
        expected = decode(outputs, PixelOrigin(64, -8), Decoding(threshold))
        found = decode_features(features, fused, PixelOrigin(64, -8), Decoding(threshold))
    assert len(expected) > 10
    assert np.array_equal(found.peak_row, expected.peak_row)
    assert np.array_equal(found.peak_col, expected.peak_col)
    assert np.allclose(found.score, expected.score, atol=1.1e-4)  # one in the last decimal
    assert np.allclose(found.row, expected.row, atol=1e-4)
