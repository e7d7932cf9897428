"""Training the classifier of chips: augmented batches, one loss, a moving average of weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  (torch's own convention)
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from models.fitting.checkpoint import load_checkpoint, save_checkpoint
from models.fitting.loop import CHECKPOINT_STEPS, Progress
from models.patches.network import PatchNet, two_views
from models.weights import PatchShape

# Chips scored at once; any number gives the same scores to the fourth decimal.
SCORED_AT_ONCE = 256


class PatchRecipe(BaseModel):
    """How the classifier learns.

    Attributes:
        steps: Optimiser steps.
        batch: Chips a step.
        learning_rate: Peak of the one-cycle schedule.
        weight_decay: AdamW's.
        average: Decay of the moving average of weights.
        smoothing: How far targets stay from 0 and 1: some labels are wrong.
        shift_px: Chips are moved by up to this, so that the cells' grid falls anywhere.
        gain: Standard deviation of the log gain of each band.
        gamma: Standard deviation of the log exponent, alike for all bands.
        haze: Brightness added at most, as a share of the chip's mean.
        saturation: Largest factor by which colour is strengthened or weakened.
        quiet_share: Share of the chips without a site of which only the quietest quarter is
            shown, mirrored: land with nothing on it, of which a list of mistakes holds little.
        shape: Sizes of the network.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: int = Field(ge=1)
    batch: int = Field(default=64, ge=2)
    learning_rate: float = Field(default=3e-3, gt=0)
    weight_decay: float = Field(default=0.05, ge=0)
    average: float = Field(default=0.99, gt=0, lt=1)
    smoothing: float = Field(default=0.03, ge=0, lt=0.5)
    shift_px: int = Field(default=6, ge=0)
    gain: float = Field(default=0.12, ge=0)
    gamma: float = Field(default=0.2, ge=0)
    haze: float = Field(default=0.3, ge=0)
    saturation: float = Field(default=1.4, ge=1)
    quiet_share: float = Field(default=0.2, ge=0, le=1)
    shape: PatchShape = PatchShape()


@dataclass(frozen=True)
class ChipBatch:
    """Augmented chips.

    Attributes:
        pixels: (batch, band, side, side), float32.
        usable: (batch, 1, side, side), float32; 0 where a shift left nothing.
        target: (batch,), float32, smoothed.
    """

    pixels: Tensor
    usable: Tensor
    target: Tensor


@dataclass(frozen=True)
class Halfway:
    """Where a training half done is kept, and of which configuration it is."""

    checkpoint: Path
    config_sha256: str


class PatchTraining:
    """A classifier while it learns, with all that its next step depends on but the samples."""

    def __init__(self, recipe: PatchRecipe, bands: int, seed: int) -> None:
        torch.manual_seed(seed)
        net = PatchNet(recipe.shape, bands)
        self.steps = recipe.steps
        self.net = net.to(memory_format=torch.channels_last).train()
        decay = get_ema_multi_avg_fn(recipe.average)  # type: ignore[no-untyped-call]
        self.average = AveragedModel(self.net, multi_avg_fn=decay, use_buffers=True)
        self.optimiser = torch.optim.AdamW(
            self.net.parameters(), recipe.learning_rate, weight_decay=recipe.weight_decay
        )
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimiser, recipe.learning_rate, total_steps=recipe.steps + 1, pct_start=0.15
        )
        self.history: list[Progress] = []

    def averaged(self) -> PatchNet:
        """The averaged weights, ready for inference."""
        return cast(PatchNet, self.average.module).eval()

    def learn(self, batch: ChipBatch) -> Progress:
        """One step on one batch."""
        rate = float(self.schedule.get_last_lr()[0])
        with torch.no_grad():
            views = two_views(batch.pixels, batch.usable)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logit = self.net(views)
        loss = F.binary_cross_entropy_with_logits(logit.float(), batch.target)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.net.parameters(), 5.0)
        self.optimiser.step()
        self.schedule.step()
        self.average.update_parameters(self.net)
        self.history.append(Progress(len(self.history) + 1, self.steps, float(loss.detach()), rate))
        return self.history[-1]

    def state(self) -> dict[str, Any]:
        """Everything as plain numbers and tensors."""
        return {
            "net": self.net.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
            "history": [[p.loss, p.learning_rate] for p in self.history],
            "torch_random": torch.get_rng_state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to what `state` gave."""
        self.net.load_state_dict(state["net"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.schedule.load_state_dict(state["schedule"])
        self.history = [
            Progress(at, self.steps, loss, rate)
            for at, (loss, rate) in enumerate(state["history"], start=1)
        ]
        torch.set_rng_state(state["torch_random"])


def fit_patches(
    pixels: NDArray[np.uint8],
    is_site: NDArray[np.bool_],
    recipe: PatchRecipe,
    seed: int,
    on_step: Callable[[Progress], None] | None = None,
    halfway: Halfway | None = None,
) -> PatchTraining:
    """Train a classifier on chips; the same seed and threads give the same network.

    A training that was killed goes on from its checkpoint and ends in the same network: the samples
    of the steps done are drawn again, which costs a tenth of what learning from them did.

    Args:
        pixels: (n, band, side, side).
        is_site: (n,), of both kinds.
        recipe: How.
        seed: Of the initial weights and of all samples.
        on_step: Told of every step.
        halfway: Where a training half done is kept; removing it is left to the caller.

    Raises:
        DatasetError: The checkpoint is damaged or of another training.
    """
    training = PatchTraining(recipe, pixels.shape[1], seed)
    state = load_checkpoint(halfway.checkpoint, halfway.config_sha256) if halfway else None
    if state is not None:
        training.restore(state)
    done = len(training.history)
    rng = np.random.default_rng([seed, 7])
    for step, index in zip(range(recipe.steps), _draws(is_site, recipe.batch, rng), strict=False):
        batch = augment_chips(pixels[index], is_site[index], recipe, rng)
        if step < done:
            continue
        progress = training.learn(batch)
        if halfway and (step + 1) % CHECKPOINT_STEPS == 0 and step + 1 < recipe.steps:
            save_checkpoint(halfway.checkpoint, halfway.config_sha256, training.state())
        if on_step:
            on_step(progress)
    return training


def _draws(
    is_site: NDArray[np.bool_], batch: int, rng: np.random.Generator
) -> Iterator[NDArray[np.int64]]:
    """Batches of which half are sites, without end; each half goes through its chips in turn."""
    halves = [_endless(np.flatnonzero(kind), rng) for kind in (is_site, ~is_site)]
    while True:
        yield np.array([next(halves[k % 2]) for k in range(batch)], np.int64)


def _endless(index: NDArray[np.intp], rng: np.random.Generator) -> Iterator[int]:
    while True:
        yield from rng.permutation(index).tolist()


def augment_chips(
    pixels: NDArray[np.uint8],
    is_site: NDArray[np.bool_],
    recipe: PatchRecipe,
    rng: np.random.Generator,
) -> ChipBatch:
    """Turn, flip, shift and recolour chips: another look, season or stretch of the same land."""
    n, bands, side, _ = pixels.shape
    canvas = np.zeros((n, bands + 1, side, side), np.float32)
    for i in range(n):
        quiet = not is_site[i] and rng.random() < recipe.quiet_share
        chip = np.rot90(_quiet(pixels[i]) if quiet else pixels[i], int(rng.integers(4)), (1, 2))
        chip = chip[:, :, ::-1] if rng.random() < 0.5 else chip
        down, across = (int(rng.integers(-recipe.shift_px, recipe.shift_px + 1)) for _ in "yx")
        to = _moved(down, side), _moved(across, side)
        of = _moved(-down, side), _moved(-across, side)
        canvas[i, :bands, *to] = chip[:, *of]
        canvas[i, bands, *to] = 1.0
    usable = torch.from_numpy(canvas[:, bands:])
    target = np.where(is_site, 1 - recipe.smoothing, recipe.smoothing).astype(np.float32)
    return ChipBatch(
        _recolour(torch.from_numpy(canvas[:, :bands]), recipe, rng) * usable,
        usable,
        torch.from_numpy(target),
    )


def _quiet(chip: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The quarter of a chip with the least contrast, mirrored to a chip of its own."""
    half = chip.shape[1] // 2
    quarters = [chip[:, r : r + half, c : c + half] for r in (0, half) for c in (0, half)]
    quietest = min(quarters, key=lambda quarter: float(quarter.std()))
    return np.pad(quietest, ((0, 0), (0, half), (0, half)), mode="symmetric")


def _moved(by: int, side: int) -> slice:
    """Where an axis of `side` pixels, moved by `by`, still lies within itself."""
    return slice(max(by, 0), min(side + by, side))


def _recolour(pixels: Tensor, recipe: PatchRecipe, rng: np.random.Generator) -> Tensor:
    n, bands = pixels.shape[:2]

    def draw(*shape: int) -> Tensor:
        return torch.from_numpy(rng.standard_normal(shape, dtype=np.float32))

    top = pixels.amax(dim=(1, 2, 3), keepdim=True).clamp_min(1.0)
    gamma = (recipe.gamma * draw(n, 1, 1, 1)).exp()
    gain = (recipe.gain * draw(n, bands, 1, 1)).exp()
    out = (pixels / top).pow(gamma) * gain
    exponent = torch.from_numpy(rng.uniform(-1, 1, (n, 1, 1, 1)).astype(np.float32))
    grey = out.mean(dim=1, keepdim=True)
    out = (grey + (out - grey) * recipe.saturation**exponent).clamp_min(0)
    share = torch.from_numpy(rng.uniform(0, recipe.haze, (n, 1, 1, 1)).astype(np.float32))
    return out + share * out.mean(dim=(1, 2, 3), keepdim=True)


def score_chips(net: PatchNet, pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Logit of each chip, alone, in single precision, shape (n,)."""
    if pixels.shape[2] != net.shape.chip_px:
        raise ValueError(f"chips of {pixels.shape[2]} px do not fit {net.shape.chip_px} px")
    parts = []
    with torch.inference_mode():
        for first in range(0, len(pixels), SCORED_AT_ONCE):
            x = torch.from_numpy(pixels[first : first + SCORED_AT_ONCE].astype(np.float32))
            parts.append(net(two_views(x, torch.ones_like(x[:, :1]))))
    return np.asarray(torch.cat(parts).double().numpy()) if parts else np.zeros(0)
