"""The network as a survey runs it says what the trained one says."""

import numpy as np
import pytest
import torch

from models.detection import ArrayWindow
from models.inference.fused import CUT_REACH_PX, Fused, FusedNet, add_doubled, twice
from models.network import KilnNet
from models.weights import NetworkShape
from tests.models.made_up_models import SMALL, make_weights


def lively_net(shape: NetworkShape = SMALL) -> KilnNet:
    """A network with norms that do something, so that folding them wrongly shows."""
    weights = make_weights(shape)
    net = KilnNet(shape).eval()
    net.load_state_dict({name: torch.from_numpy(value) for name, value in weights.tensors.items()})
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean.uniform_(-0.3, 0.3)  # type: ignore[union-attr]
                module.running_var.uniform_(0.5, 2.0)  # type: ignore[union-attr]
    return net


def outputs_of(net: FusedNet, x: torch.Tensor) -> torch.Tensor:
    features = net.features(x).float()
    return (features @ net.out_weight.T + net.out_bias).permute(0, 3, 1, 2)


@pytest.mark.parametrize("shape", [SMALL, NetworkShape()])
@pytest.mark.parametrize("onednn", [True, False])
def test_fused_is_the_trained_network_in_fp32(shape: NetworkShape, onednn: bool) -> None:
    torch.manual_seed(0)
    net = lively_net(shape)
    x = torch.randn(2, 3, 64, 48)
    with torch.inference_mode():
        expected = net(x)
        fused = FusedNet(net, "cpu", torch.float32)
        fused._onednn &= onednn
        found = outputs_of(fused, x)
    assert expected.std() > 0.05
    assert torch.allclose(found, expected, atol=1e-4)


def test_scores_in_bf16_are_within_a_fiftieth_of_fp32() -> None:
    torch.manual_seed(0)
    x = torch.randn(1, 3, 128, 128)
    with torch.inference_mode():
        exact = outputs_of(FusedNet(lively_net(), "cpu", torch.float32), x)[0, 0].sigmoid()
        torch.manual_seed(0)
        x = torch.randn(1, 3, 128, 128)
        rounded = outputs_of(FusedNet(lively_net(), "cpu", torch.bfloat16), x)[0, 0].sigmoid()
    apart = (exact - rounded).abs()
    assert 0 < apart.max() < 0.05
    assert apart.mean() < 0.005


def test_a_coarse_map_is_added_to_four_cells_each() -> None:
    fine = torch.zeros(1, 2, 4, 6).contiguous(memory_format=torch.channels_last)
    coarse = torch.arange(12.0).view(1, 2, 2, 3)
    doubled = coarse.repeat(1, 2, 1, 1).contiguous(memory_format=torch.channels_last)
    added = add_doubled(fine, doubled)[0].numpy()
    assert np.array_equal(added, coarse[0].numpy().repeat(2, 1).repeat(2, 2))


def test_a_convolution_made_twice_gives_its_channels_twice() -> None:
    fine = torch.zeros(1, 2, 4, 6).contiguous(memory_format=torch.channels_last)
    coarse = torch.arange(12.0).view(1, 2, 2, 3).contiguous(memory_format=torch.channels_last)
    lateral = torch.nn.Conv2d(2, 2, 1)
    with torch.inference_mode():
        expected = lateral(coarse)[0].numpy().repeat(2, 1).repeat(2, 2)
        wide = twice(lateral)(coarse).contiguous(memory_format=torch.channels_last)
        added = add_doubled(fine, wide)[0].numpy()
    assert np.allclose(added, expected, atol=1e-6)


@pytest.mark.parametrize("inner", [ArrayWindow(0, 16, 96, 64), ArrayWindow(40, 32, 40, 56)])
def test_a_part_merges_as_the_whole_does_but_for_its_edge(inner: ArrayWindow) -> None:
    torch.manual_seed(3)
    fused = FusedNet(lively_net(), "cpu", torch.float32)
    x = torch.randn(1, 3, 96, 112)
    with torch.inference_mode():
        whole, part = fused.features(x)[0], fused.features(x, inner)[0]
    edge = CUT_REACH_PX // 2
    rows, cols = inner.rows // 2, inner.cols // 2
    assert part.shape[:2] == (rows, cols)
    expected = whole[inner.row0 // 2 :, inner.col0 // 2 :][:rows, :cols]
    core = np.s_[edge : rows - edge, edge : cols - edge]
    assert torch.allclose(part[core], expected[core], atol=1e-5)
    assert not torch.allclose(part, expected, atol=1e-3)


def test_one_pass_and_plain_layers_agree_on_a_shortcut() -> None:
    torch.manual_seed(1)
    conv = torch.nn.Conv2d(4, 4, 3, padding=1)
    x, shortcut = torch.randn(2, 1, 4, 8, 8)
    fused, plain = (Fused(torch.nn.Sequential(conv), "cpu", torch.float32) for _ in range(2))
    plain._onednn = False
    with torch.inference_mode():
        one = fused.conv_add(conv, x, shortcut.clone())
        other = plain.conv_add(conv, x, shortcut.clone())
    assert torch.allclose(one, other, atol=1e-5)
    assert one.min() >= 0
