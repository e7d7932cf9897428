"""The number format is decided by a probe, and the probe by speed and agreement."""

import pytest
import torch

from models.inference import precision
from models.inference.precision import bf16_pays, resolve_precision


@pytest.mark.parametrize(
    ("fast_s", "error", "pays"), [(1.0, 0.0, True), (1.9, 0.0, False), (1.0, 0.2, False)]
)
def test_bf16_must_be_faster_and_agree(
    monkeypatch: pytest.MonkeyPatch, fast_s: float, error: float, pays: bool
) -> None:
    def made_up_run(net: precision.FusedNet, x: torch.Tensor) -> tuple[torch.Tensor, float]:
        exact = net.dtype == torch.float32
        return torch.ones(4) * (1 if exact else 1 + error), 2.0 if exact else fast_s

    monkeypatch.setattr(precision, "_run", made_up_run)
    assert bf16_pays("cpu") is pays


def test_the_probe_leaves_the_stream_of_random_numbers_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    bf16_pays("cpu")
    assert torch.equal(torch.rand(3), expected)


def test_hardware_without_bf16_is_not_probed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "_multiplies_bf16", lambda device: False)
    monkeypatch.setattr(precision, "bf16_pays", lambda device: pytest.fail("probed"))
    assert resolve_precision("auto", "cpu") == "fp32"
    assert resolve_precision("bf16", "cpu") == "bf16"
