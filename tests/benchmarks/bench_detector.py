"""The default network: its speed against the net of the first trials, and F1 on made-up patches."""

import statistics
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812  (torch's own convention)

from models.detection import PixelOrigin
from models.detector import Detector
from models.inference.decoding import Decoding, decode_features
from models.judging.scoring import score_pictures
from models.labelled.dataset_file import SimulationSource
from models.labelled.sources import simulated_pictures
from models.network import KilnNet, normalise
from models.weights import NetworkShape, default_weights, find_weights
from tiles.simulate import simulate_patch

BLOCK_PX = 512
BLOCKS = 8
ROUNDS = 7
TRIAL_CHANNELS = (16, 32, 64, 96)


class TrialNet(nn.Module):
    """Full-resolution input, four stages of 16/32/64/96 channels, skips up to stride 2.

    Built from the description of the first trials (0.63 M parameters), with convolution, norm and
    ReLU already fused, since only the speed is compared.
    """

    def __init__(self):
        super().__init__()
        c1, c2, c4, c8 = TRIAL_CHANNELS
        self.s1 = _convs(3, c1, 1, 1)
        self.s2 = _convs(c1, c2, 2, 3)
        self.s4 = _convs(c2, c4, 2, 4)
        self.s8 = _convs(c4, c8, 2, 5)
        self.up4, self.up2 = nn.Conv2d(c8, c4, 1), nn.Conv2d(c4, c2, 1)
        self.merge4, self.merge2 = _convs(c4, c4, 1, 1), _convs(c2, c2, 1, 1)
        self.head = nn.Sequential(*_convs(c2, c2, 1, 1), nn.Conv2d(c2, 7, 1))

    def forward(self, x):
        s2 = self.s2(self.s1(x))
        s4 = self.s4(s2)
        s4 = self.merge4(s4 + F.interpolate(self.up4(self.s8(s4)), scale_factor=2))
        s2 = self.merge2(s2 + F.interpolate(self.up2(s4), scale_factor=2))
        return self.head(s2)


def _convs(c_in, c_out, stride, n):
    layers = []
    for i in range(n):
        conv = nn.Conv2d(c_in if i == 0 else c_out, c_out, 3, stride if i == 0 else 1, padding=1)
        layers += [conv, nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


def _ready(net):
    return net.eval().to(torch.bfloat16).to(memory_format=torch.channels_last)


def test_default_net_against_trial_net():
    """Both bf16, fused and channels-last; ours as a survey runs it, peaks and boxes included."""
    detector = Detector.load(default_weights(), "cpu", "bf16", threads=1)
    trial = _ready(TrialNet())
    land = simulate_patch(np.random.default_rng(1), BLOCK_PX, 1)
    pixels = torch.from_numpy(land.pixels).float()[None]
    x = normalise(pixels, torch.ones_like(pixels[:, :1]), NetworkShape())

    def ours():
        features = detector._net.features(x)[0]
        decode_features(features, detector._net, PixelOrigin(0, 0), Decoding(detector.threshold))

    with torch.inference_mode():
        pairs = [
            (
                _seconds(ours),
                _seconds(lambda: trial(x.to(torch.bfloat16, memory_format=torch.channels_last))),
            )
            for _ in range(ROUNDS)
        ]
    ratios = sorted(t / o for o, t in pairs[1:])
    megapixels = BLOCKS * BLOCK_PX**2 / 1e6
    print(
        f"\n{sum(p.numel() for p in trial.parameters()) / 1e6:.2f} M parameters in the trial net, "
        f"{sum(p.numel() for p in KilnNet(NetworkShape()).parameters()) / 1e6:.2f} M in ours; "
        "one thread, bf16\n"
        f"  default net  {megapixels / statistics.median(o for o, _ in pairs[1:]):6.1f} MP/s\n"
        f"  trial net    {megapixels / statistics.median(t for _, t in pairs[1:]):6.1f} MP/s\n"
        f"  default / trial: {statistics.median(ratios):.2f} times as fast "
        f"({ratios[0]:.2f} to {ratios[-1]:.2f} over {len(ratios)} pairs)"
    )
    assert statistics.median(ratios) > 0.5, "half as fast as the trial net: something is broken"


def _seconds(work):
    started = time.perf_counter()
    for _ in range(BLOCKS):
        work()
    return time.perf_counter() - started


def test_f1_on_made_up_patches_that_training_never_saw():
    """Reported apart from real land: look-alikes here are fewer and plainer than real ones."""
    pictures = simulated_pictures(SimulationSource(patches=150), seed=99)
    for path in (default_weights(), find_weights(Path("brick_kiln_free"))):
        detector = Detector.load(path, "cpu", "fp32", threads=1)
        found = score_pictures(detector, pictures).evaluate("simulation", detector.card.threshold)
        at = found.at(100)
        print(
            f"\n{detector.card.name} {detector.card.version} on made-up patches: "
            f"{found.n_sites} kilns, F1 {at.f1}, AP {at.average_precision} (target F1 0.97)"
        )
        assert at.f1.value > 0.5
