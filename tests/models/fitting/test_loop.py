"""The training loop: the loss falls, the same seed gives the same weights, samples likewise."""

import numpy as np
import pytest
import torch

from models.chips import PixelPoints
from models.fitting.augment import SAMPLE_PX
from models.fitting.loop import Conditions, Progress, TrainingRecipe, detection_loss, fit
from models.fitting.sampling import Sampler
from models.labelled.dataset import Source
from models.network import CELL_PX, N_OUTPUTS, KilnNet
from tests.models.made_up_models import SMALL, simulated_picture

TINY = TrainingRecipe(steps=30, batch=4, learning_rate=5e-3, shape=SMALL)


def source(n: int = 30) -> Source:
    return Source("simulation", 1.0, tuple(simulated_picture(seed, 3) for seed in range(n)))


def weights_of(net: KilnNet) -> torch.Tensor:
    return torch.cat([value.flatten().float() for value in net.state_dict().values()])


def test_thirty_patches_bring_the_loss_down() -> None:
    losses: list[Progress] = []
    fit((source(),), TINY, 0, losses.append)
    assert [p.step for p in losses] == list(range(1, 31))
    assert np.mean([p.loss for p in losses[-6:]]) < 0.6 * np.mean([p.loss for p in losses[:6]])


def test_the_same_seed_gives_the_same_weights() -> None:
    short = TINY.model_copy(update={"steps": 4})
    first, second, other = (fit((source(3),), short, seed).averaged() for seed in (0, 0, 1))
    assert torch.equal(weights_of(first), weights_of(second))
    assert not torch.equal(weights_of(first), weights_of(other))


def test_mistakes_are_collected_when_the_recipe_says() -> None:
    called: list[int] = []

    def mine(net: KilnNet, sources: tuple[Source, ...]) -> dict[tuple[int, int], PixelPoints]:
        called.append(len(sources))
        return {(0, 0): PixelPoints(np.array([80.0]), np.array([80.0]))}

    fit((source(2),), TINY.model_copy(update={"steps": 5, "mine_at": (0.4, 0.8)}), 0, mine=mine)
    assert called == [1, 1]


def test_the_sampler_draws_from_sources_by_their_share() -> None:
    rng = np.random.default_rng(0)
    empty = source(1).pictures[0]
    sampler = Sampler((Source("a", 3.0, (empty,)), Source("b", 1.0, (empty,))), rng)
    drawn = [int(rng.choice(2, p=sampler._share)) for _ in range(2000)]
    assert np.mean(drawn) == pytest.approx(0.25, abs=0.03)
    sample = sampler.draw()
    assert sample.targets.shape == (N_OUTPUTS, SAMPLE_PX // CELL_PX, SAMPLE_PX // CELL_PX)


def outputs_and_targets() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    targets = torch.zeros(1, N_OUTPUTS, 4, 4)
    targets[0, 0, 1, 1] = 1.0
    targets[0, 1, 1, 1] = 0.5
    outputs = torch.zeros(1, N_OUTPUTS, 4, 4)
    masks = torch.zeros(1, 3, 4, 4)
    masks[0, 0] = 1
    masks[0, 1:, 1, 1] = 1
    return outputs, targets, masks


def test_the_loss_by_hand() -> None:
    outputs, targets, masks = outputs_and_targets()
    # p is 0.5 everywhere: each of 16 cells gives 0.25 * ln 2; the offset is 0.5 off in one of two.
    expected = 16 * 0.25 * np.log(2) + 0.5 * 0.5
    assert detection_loss(outputs, targets, masks).item() == pytest.approx(expected, rel=1e-5)


def test_masked_cells_cost_nothing() -> None:
    outputs, targets, masks = outputs_and_targets()
    masks[0, 0, 3] = 0
    before = detection_loss(outputs, targets, masks)
    outputs[0, 0, 3] = 20.0
    assert detection_loss(outputs, targets, masks) == before


def test_samples_do_not_depend_on_who_makes_them() -> None:
    sources = (source(3),)
    short = TINY.model_copy(update={"steps": 4})
    alone = fit(sources, short, 0)
    helped = fit(sources, short, 0, conditions=Conditions(workers=2))
    assert torch.equal(weights_of(alone.averaged()), weights_of(helped.averaged()))
