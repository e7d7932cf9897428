"""Where the network runs and in which number format: decided once a run, and kept."""

from __future__ import annotations

import time
from statistics import median
from typing import Literal

import torch

from models.inference.fused import FusedNet
from models.network import KilnNet
from models.weights import NetworkShape
from tiles.errors import ConfigError

Precision = Literal["fp32", "bf16"]

# Side of the array that the probe looks at: a quarter of a second of work in all.
PROBE_PX = 256
PROBE_ROUNDS = 5
# bf16 must be clearly faster: a tie is decided for the exact format, whoever else uses the cores.
PROBE_GAIN = 1.2
# Of the features' own size: bf16 keeps eight bits, an error of 0.4 % a layer. Hardware that
# multiplies wrongly, or accumulates in bf16, is ten times off.
PROBE_TOLERANCE = 0.05


def resolve_device(device: str) -> str:
    """`auto` becomes CUDA where there is one, else Apple's MPS, else the CPU.

    Raises:
        ConfigError: The device asked for is not on this machine.
    """
    present = {"cpu": True, "cuda": torch.cuda.is_available()}
    present["mps"] = torch.backends.mps.is_available()
    if device == "auto":
        return next(name for name in ("cuda", "mps", "cpu") if present[name])
    if not present.get(device, False):
        usable = ", ".join(name for name, there in present.items() if there)
        raise ConfigError(f"The device {device!r} is not on this machine: use one of {usable}.")
    return device


def training_device(wanted: str) -> str:
    """Where to train: the normalisation sums in double precision, which MPS has not."""
    device = resolve_device(wanted)
    return "cpu" if device == "mps" else device


def resolve_precision(precision: str, device: str) -> Precision:
    """`auto` becomes bf16 where the hardware multiplies in it and a probe agrees, else fp32.

    Raises:
        ConfigError: No such precision.
    """
    if precision == "fp32":
        return "fp32"
    if precision == "bf16":
        return "bf16"
    if precision != "auto":
        raise ConfigError(f"There is no precision {precision!r}: use auto, fp32 or bf16.")
    return "bf16" if _multiplies_bf16(device) and bf16_pays(device) else "fp32"


def _multiplies_bf16(device: str) -> bool:
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device == "cpu" and bool(torch.cpu._is_avx512_bf16_supported())


def bf16_pays(device: str) -> bool:
    """Whether a network of the usual sizes is faster in bf16 here, and says the same."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, 3, PROBE_PX, PROBE_PX, generator=generator).to(device)
    with torch.random.fork_rng(devices=[]), torch.inference_mode():
        torch.manual_seed(0)
        tensors = KilnNet(NetworkShape()).state_dict()
        exact, rounded = (_net(tensors, device, each) for each in (torch.float32, torch.bfloat16))
        _run(exact, x), _run(rounded, x)  # the first pass of each prepares
        # by turns, so that whatever else the machine does meets both
        passes = [(_run(exact, x), _run(rounded, x)) for _ in range(PROBE_ROUNDS)]
    (expected, _), (found, _) = passes[-1]
    agrees = (found - expected).abs().mean() <= PROBE_TOLERANCE * expected.abs().mean()
    return (
        bool(agrees) and median(slow_s / fast_s for (_, slow_s), (_, fast_s) in passes) > PROBE_GAIN
    )


def _net(tensors: dict[str, torch.Tensor], device: str, dtype: torch.dtype) -> FusedNet:
    net = KilnNet(NetworkShape())
    net.load_state_dict(tensors)
    return FusedNet(net, device, dtype)


def _run(net: FusedNet, x: torch.Tensor) -> tuple[torch.Tensor, float]:
    """The features, and the seconds of one pass; on a CPU the process's own, without waiting."""
    clock = time.process_time if x.device.type == "cpu" else time.perf_counter
    started = clock()
    features = net.features(x).float().cpu()  # the copy waits for a GPU
    return features, clock() - started
