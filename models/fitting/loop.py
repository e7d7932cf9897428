"""The training loop: samples from every source, one loss, a moving average; resumes exactly."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  (torch's own convention)
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from models.fitting.augment import CONTEXT_PX, SAMPLE_PX, Sample
from models.fitting.checkpoint import (
    Mistakes,
    load_checkpoint,
    pack_mistakes,
    save_checkpoint,
    unpack_mistakes,
)
from models.fitting.sampling import Sampler
from models.labelled.dataset import Source
from models.network import KilnNet, normalise
from models.weights import NetworkShape

# Weight of box errors against the heatmap's focal loss.
BOX_WEIGHT = 0.5
# Steps between checkpoints: a minute's work at most is lost, and writing 10 MB costs nothing.
CHECKPOINT_STEPS = 100
# How often held-out places are looked at while training: enough for a curve of ten points.
WATCHES = 10

Miner = Callable[[KilnNet, tuple[Source, ...]], Mistakes]


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
    """Where a training stands.

    Attributes:
        step: Steps done.
        steps: Steps in all.
        loss: Of the last step.
        learning_rate: Of the last step.
        held_out_ap: Average precision on places held out; None at most steps.
    """

    step: int
    steps: int
    loss: float
    learning_rate: float = 0.0
    held_out_ap: float | None = None


@dataclass(frozen=True)
class Conditions:
    """Where a network is trained; none of it is meant to change what comes out.

    Attributes:
        device: Such as `cpu` or `cuda`.
        bf16: Whether the forward pass multiplies in bf16.
        workers: Processes that make samples; 0 makes them in this one. Samples do not depend on it.
        checkpoint: Working file from which a training that was killed goes on.
        config_sha256: What the checkpoint must belong to.
    """

    device: str = "cpu"
    bf16: bool = True
    workers: int = 0
    checkpoint: Path | None = None
    config_sha256: str = ""


class MovingAverage:
    """Exponential moving average of a network's weights and statistics."""

    def __init__(self, net: KilnNet, decay: float) -> None:
        self.decay = decay
        self.steps = 0
        self.state = {name: value.detach().clone() for name, value in net.state_dict().items()}

    def update(self, net: KilnNet) -> None:
        """Take one step towards the network; quicker at first, so that the start is forgotten."""
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        for name, value in net.state_dict().items():
            if value.dtype.is_floating_point:
                self.state[name].lerp_(value.detach(), 1 - decay)
            else:
                self.state[name].copy_(value)


class Training:
    """A network while it learns, with all that its next step depends on."""

    def __init__(
        self,
        recipe: TrainingRecipe,
        seed: int,
        device: str,
        start: Mapping[str, NDArray[Any]] | None = None,
    ) -> None:
        torch.manual_seed(seed)
        self.recipe, self.seed = recipe, seed
        net = KilnNet(recipe.shape)
        if start is not None:
            net.load_state_dict({name: torch.from_numpy(array) for name, array in start.items()})
        self.net = net.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = MovingAverage(self.net, recipe.average)
        self.optimiser = torch.optim.AdamW(
            self.net.parameters(), recipe.learning_rate, weight_decay=recipe.weight_decay
        )
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimiser, recipe.learning_rate, total_steps=recipe.steps + 1, pct_start=0.1
        )
        self.step = 0
        self.mistakes: Mistakes = {}
        self.history: list[Progress] = []

    def averaged(self) -> KilnNet:
        """The averaged weights as a network of their own, on the CPU, ready for inference."""
        net = KilnNet(self.recipe.shape).eval()
        net.load_state_dict({name: value.cpu() for name, value in self.average.state.items()})
        return net

    def state(self) -> dict[str, Any]:
        """Everything as plain numbers and tensors."""
        return {
            "step": self.step,
            "net": self.net.state_dict(),
            "average": self.average.state,
            "average_steps": self.average.steps,
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
            "mistakes": pack_mistakes(self.mistakes),
            "history": [[p.step, p.loss, p.learning_rate, p.held_out_ap] for p in self.history],
            "torch_random": torch.get_rng_state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to what `state` gave."""
        self.step = int(state["step"])
        self.net.load_state_dict(state["net"])
        for name, value in state["average"].items():
            self.average.state[name].copy_(value)
        self.average.steps = int(state["average_steps"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.schedule.load_state_dict(state["schedule"])
        self.mistakes = unpack_mistakes(state["mistakes"])
        steps = self.recipe.steps
        self.history = [
            Progress(at, steps, loss, rate, ap) for at, loss, rate, ap in state["history"]
        ]
        torch.set_rng_state(state["torch_random"])

    def learn(self, batch: Sample, bf16: bool) -> Progress:
        """One step on one batch."""
        rate = float(self.schedule.get_last_lr()[0])
        loss = _learn(self.net, batch, self.recipe.shape, self.optimiser, bf16)
        self.schedule.step()
        self.average.update(self.net)
        self.step += 1
        return Progress(self.step, self.recipe.steps, loss, rate)


def fit(
    sources: tuple[Source, ...],
    recipe: TrainingRecipe,
    seed: int,
    on_progress: Callable[[Progress], None] | None = None,
    mine: Miner | None = None,
    watch: Callable[[KilnNet], float | None] | None = None,
    conditions: Conditions | None = None,
    start: Mapping[str, NDArray[Any]] | None = None,
) -> Training:
    """Train a network; `averaged()` of the outcome is what is used.

    Every sample is drawn from a stream of its own, seeded by training, step and number: neither
    how many processes make samples nor where a training was interrupted can change one.

    Args:
        sources: Pictures to draw samples from.
        recipe: How.
        seed: Of the initial weights and all samples.
        on_progress: Called after every step.
        mine: Finds positions of false alarms in the pictures; called at `recipe.mine_at`.
        watch: Average precision on places held out, for the curve only.
        conditions: Where, and whether to go on from a checkpoint.
        start: Tensors of a network to start from; None starts from nothing.

    Raises:
        DatasetError: The checkpoint is damaged or of another training.
    """
    conditions = conditions or Conditions()
    training = Training(recipe, seed, conditions.device, start)
    if conditions.checkpoint is not None:
        state = load_checkpoint(conditions.checkpoint, conditions.config_sha256)
        if state is not None:
            training.restore(state)
    mining = {int(share * recipe.steps) for share in recipe.mine_at} if mine else set()
    while training.step < recipe.steps:
        if mine and training.step in mining:
            training.mistakes = mine(training.averaged(), sources)
        end = min(stop for stop in (*mining, recipe.steps) if stop > training.step)
        drawn = Batches(sources, seed, recipe.batch, training.mistakes)
        for batch in _load(drawn, range(training.step, end), conditions):
            progress = training.learn(batch, conditions.bf16)
            if watch and progress.step % max(recipe.steps // WATCHES, 1) == 0:
                progress = replace(progress, held_out_ap=watch(training.averaged()))
            training.history.append(progress)
            _keep(training, conditions)
            if on_progress:
                on_progress(progress)
    return training


class Batches(TorchDataset[Sample]):
    """The batch of every step, each sample from its own stream."""

    def __init__(
        self, sources: tuple[Source, ...], seed: int, size: int, mistakes: Mistakes
    ) -> None:
        self.seed, self.size = seed, size
        self.sampler = Sampler(sources, np.random.default_rng(seed))
        self.sampler.mistakes = mistakes

    def __getitem__(self, step: int) -> Sample:
        samples = []
        for number in range(self.size):
            self.sampler.rng = np.random.default_rng([self.seed, 2, step, number])
            samples.append(self.sampler.draw())
        return collate(samples)


def _load(drawn: Batches, steps: range, conditions: Conditions) -> Iterator[Sample]:
    if not conditions.workers:
        yield from (_to_device(drawn[step], conditions.device) for step in steps)
        return
    loader = DataLoader(
        drawn,
        batch_size=None,
        sampler=steps,
        num_workers=conditions.workers,
        generator=torch.Generator(),  # its own: making samples must not move torch's stream
    )
    yield from (_to_device(batch, conditions.device) for batch in loader)


def _to_device(sample: Sample, device: str) -> Sample:
    if device == "cpu":
        return sample
    return Sample(*(getattr(sample, f.name).to(device, non_blocking=True) for f in fields(sample)))


def _keep(training: Training, conditions: Conditions) -> None:
    due = training.step % CHECKPOINT_STEPS == 0 and training.step < training.recipe.steps
    if conditions.checkpoint is not None and due:
        save_checkpoint(conditions.checkpoint, conditions.config_sha256, training.state())


def collate(samples: list[Sample]) -> Sample:
    """Samples stacked along a new first axis."""
    return Sample(
        torch.stack([s.pixels for s in samples]),
        torch.stack([s.usable for s in samples]),
        torch.stack([s.targets for s in samples]),
        torch.stack([s.masks for s in samples]),
    )


def _learn(
    net: KilnNet,
    batch: Sample,
    shape: NetworkShape,
    optimiser: torch.optim.Optimizer,
    bf16: bool,
) -> float:
    net.train()
    with torch.no_grad():
        z = normalise(batch.pixels, batch.usable, shape)
        middle = slice(CONTEXT_PX, CONTEXT_PX + SAMPLE_PX)
        z = z[:, :, middle, middle].contiguous(memory_format=torch.channels_last)
    with torch.autocast(z.device.type, dtype=torch.bfloat16, enabled=bf16):
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
