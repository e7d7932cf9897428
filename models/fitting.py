"""The training loop: samples from every source, one loss, and a moving average of weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  (torch's own convention)

from models.augment import CONTEXT_PX, SAMPLE_PX, Sample
from models.chips import PixelPoints
from models.dataset import Source
from models.network import KilnNet, normalise
from models.sampling import Sampler
from models.weights import NetworkShape

# Weight of box errors against the heatmap's focal loss.
BOX_WEIGHT = 0.5


class TrainingRecipe(BaseModel):
    """How the network learns.

    Attributes:
        steps: Optimiser steps.
        batch: Samples a step.
        learning_rate: Peak of the one-cycle schedule.
        weight_decay: AdamW's.
        average: Decay of the moving average of weights.
        mine_at: Shares of the training at which mistakes on the training places are collected.
        shape: Sizes of the network.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: int = Field(ge=1)
    batch: int = Field(default=24, ge=1)
    learning_rate: float = Field(default=3e-3, gt=0)
    weight_decay: float = Field(default=0.01, ge=0)
    average: float = Field(default=0.998, gt=0, lt=1)
    mine_at: tuple[float, ...] = (0.4, 0.7)
    shape: NetworkShape = NetworkShape()


@dataclass(frozen=True)
class Progress:
    """Where a training stands."""

    step: int
    steps: int
    loss: float


class MovingAverage:
    """Exponential moving average of a network's weights and statistics."""

    def __init__(self, net: KilnNet, decay: float) -> None:
        self.decay = decay
        self._steps = 0
        self.state = {name: value.detach().clone() for name, value in net.state_dict().items()}

    def update(self, net: KilnNet) -> None:
        """Take one step towards the network; quicker at first, so that the start is forgotten."""
        self._steps += 1
        decay = min(self.decay, (1 + self._steps) / (10 + self._steps))
        for name, value in net.state_dict().items():
            if value.dtype.is_floating_point:
                self.state[name].lerp_(value.detach(), 1 - decay)
            else:
                self.state[name].copy_(value)


def fit(
    sources: tuple[Source, ...],
    recipe: TrainingRecipe,
    seed: int,
    on_progress: Callable[[Progress], None] | None = None,
    mine: Callable[[KilnNet, tuple[Source, ...]], dict[tuple[int, int], PixelPoints]] | None = None,
) -> KilnNet:
    """Train a network and return the moving average of its weights.

    Args:
        sources: Pictures to draw samples from.
        recipe: How.
        seed: Of the initial weights and all samples.
        on_progress: Called after every step.
        mine: Finds positions of false alarms in the pictures; called at `recipe.mine_at`.
    """
    torch.manual_seed(seed)
    net = KilnNet(recipe.shape).to(memory_format=torch.channels_last)
    average = MovingAverage(net, recipe.average)
    optimiser = torch.optim.AdamW(
        net.parameters(), recipe.learning_rate, weight_decay=recipe.weight_decay
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, recipe.learning_rate, total_steps=recipe.steps + 1, pct_start=0.1
    )
    sampler = Sampler(sources, np.random.default_rng([seed, 2]))
    mining_steps = {int(share * recipe.steps) for share in recipe.mine_at} if mine else set()
    for step in range(recipe.steps):
        if step in mining_steps and mine:
            sampler.mistakes = mine(averaged(average, recipe.shape), sources)
        batch = collate([sampler.draw() for _ in range(recipe.batch)])
        loss = _step(net, batch, recipe.shape, optimiser)
        schedule.step()
        average.update(net)
        if on_progress:
            on_progress(Progress(step + 1, recipe.steps, loss))
    return averaged(average, recipe.shape)


def averaged(average: MovingAverage, shape: NetworkShape) -> KilnNet:
    """The averaged weights as a network of their own, ready for inference."""
    net = KilnNet(shape).eval()
    net.load_state_dict(average.state)
    return net


def collate(samples: list[Sample]) -> Sample:
    """Samples stacked along a new first axis."""
    return Sample(
        torch.stack([s.pixels for s in samples]),
        torch.stack([s.usable for s in samples]),
        torch.stack([s.targets for s in samples]),
        torch.stack([s.masks for s in samples]),
    )


def _step(
    net: KilnNet, batch: Sample, shape: NetworkShape, optimiser: torch.optim.Optimizer
) -> float:
    net.train()
    with torch.no_grad():
        z = normalise(batch.pixels, batch.usable, shape)
        middle = slice(CONTEXT_PX, CONTEXT_PX + SAMPLE_PX)
        z = z[:, :, middle, middle].contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = net(z)
    loss = detection_loss(out, batch.targets, batch.masks)
    optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(net.parameters(), 5.0)
    optimiser.step()
    return float(loss.detach())


def detection_loss(outputs: Tensor, targets: Tensor, masks: Tensor) -> Tensor:
    """Focal loss of the heatmap and absolute error of boxes.

    The heatmap's loss is the penalty-reduced focal loss of CornerNet (Law and Deng, 2018), with
    alpha 2 and beta 4, per labelled site.

    Args:
        outputs: (batch, N_OUTPUTS, y, x), raw.
        targets: The same shape; see `augment.Sample`.
        masks: (batch, 3, y, x).
    """
    logits, heat = outputs[:, 0], targets[:, 0]
    p = torch.sigmoid(logits)
    at_site = (heat == 1.0).float()
    found = at_site * (1 - p).square() * F.logsigmoid(logits)
    quiet = (1 - at_site) * (1 - heat).pow(4) * p.square() * F.logsigmoid(-logits)
    n_sites = (at_site * masks[:, 0]).sum().clamp_min(1.0)
    focal = -((found + quiet) * masks[:, 0]).sum() / n_sites
    error = (outputs[:, 1:] - targets[:, 1:]).abs()
    mask_offset, mask_size = masks[:, 1:2], masks[:, 2:3]
    offset = (error[:, :2] * mask_offset).sum() / mask_offset.sum().clamp_min(1.0)
    size = (error[:, 2:] * mask_size).sum() / mask_size.sum().clamp_min(1.0)
    return focal + BOX_WEIGHT * (offset + size)
