"""Training: the loss falls, the same seed gives the same weights, the card is filled honestly."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import models.training as training
from models.augment import SAMPLE_PX
from models.chips import PixelPoints
from models.dataset import Source
from models.detector import Detector
from models.evaluation import average_precision, match
from models.fitting import Progress, TrainingRecipe, detection_loss, fit
from models.network import CELL_PX, N_OUTPUTS, KilnNet
from models.sampling import Sampler
from models.scoring import read_scores, score_pictures, score_table, write_scores
from models.training import TrainSettings, evaluate_weights, train
from models.weights import default_weights, load_card
from tests.models.made_up_models import SMALL, make_weights, simulated_picture
from tiles.errors import DatasetError

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
    first, second, other = (fit((source(3),), short, seed) for seed in (0, 0, 1))
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


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of simulation alone, and one with tiles held out."""
    import json

    from PIL import Image

    folder = tmp_path_factory.mktemp("data")
    head = 'name = "made_up"\nlicence = "Apache-2.0"\nsteps = 30\n'
    simulation = "[simulation]\npatches = 12\nsize_px = 96\n"
    (folder / "plain.toml").write_text(head + simulation)
    (folder / "images").mkdir()
    (folder / "labels").mkdir()
    rows = []
    for i in range(4):
        picture = simulated_picture(100 + i, 2, 128)
        Image.fromarray(np.moveaxis(picture.pixels, 0, -1)).save(folder / f"images/t{i}.png")
        boxes = []
        s = picture.sites
        for k in range(len(s)):
            along = np.array([np.cos(s.angle_rad[k]), np.sin(s.angle_rad[k])]) * s.length_px[k] / 2
            across = np.array([-np.sin(s.angle_rad[k]), np.cos(s.angle_rad[k])]) * s.width_px[k] / 2
            centre = np.array([s.col[k], s.row[k]])
            corners = [centre + along + across, centre + along - across]
            corners += [centre - along - across, centre - along + across]
            boxes.append([1, *np.concatenate(corners).tolist()])
        (folder / f"labels/t{i}.json").write_text(json.dumps({"obb_px": boxes}))
        rows.append({"name": f"t{i}", "district": ["north", "south"][i % 2]})
    pd.DataFrame(rows).to_csv(folder / "tiles.csv", index=False)
    tiles = (
        '[[tiles]]\nimages = "images"\nlabels = "labels"\ntable = "tiles.csv"\n'
        'credit = "made up"\nvalidate = ["north"]\ntest = ["south"]\n'
    )
    (folder / "held_out.toml").write_text(head + tiles + simulation)
    return folder


@pytest.fixture
def small_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tool's own path with a network that trains in a second."""
    monkeypatch.setattr(
        training,
        "default_recipe",
        lambda steps: TINY.model_copy(update={"steps": steps, "mine_at": (0.5,)}),
    )


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_training_with_places_held_out_fills_the_card(folder: Path, small_network: None) -> None:
    out = folder / "made_up.safetensors"
    settings = TrainSettings(dataset=folder / "held_out.toml", out=out, data_root=folder, threads=1)
    assert train(settings) == out
    card = load_card(out)
    assert card.name == "made_up"
    assert card.trained_on == ("made up", "made-up patches of tiles.simulate (Apache-2.0)")
    assert card.familiarity is not None
    assert card.calibration.n_true + card.calibration.n_false > 0
    assert next(f.name for f in card.figures) == "south: average precision"
    scores = read_scores([out.with_suffix(".scores.csv")])
    assert set(scores["place"].str.split("/").str[0]) == {"south"}
    before = out.read_bytes()
    train(settings)
    assert out.read_bytes() == before
    (evaluation,) = evaluate_weights(folder / "held_out.toml", out, folder)
    assert evaluation.name == "south"
    assert evaluation.threshold == card.threshold


def test_a_dataset_without_a_test_part_cannot_be_scored(folder: Path) -> None:
    with pytest.raises(DatasetError, match="holds nothing out"):
        evaluate_weights(folder / "plain.toml", default_weights(), folder)


def test_score_tables_hold_sites_never_found(tmp_path: Path) -> None:
    detector = Detector(make_weights(threshold=0.999), "cpu", "fp32")
    scored = score_pictures(detector, [simulated_picture(5, 3), simulated_picture(6, 2)])
    assert detector.threshold == 0.999
    table = score_table(scored, "made up", 100.0)
    assert table["is_site"].sum() == len(scored.sites) == 5
    write_scores(table, tmp_path / "s.csv")
    back = read_scores([tmp_path / "s.csv"])
    assert np.allclose(back["score"], table["score"])
    (tmp_path / "wrong.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DatasetError, match="has the columns"):
        read_scores([tmp_path / "wrong.csv"])
    with pytest.raises(DatasetError, match="train the held-out datasets first"):
        read_scores([tmp_path / "none.csv"])


def test_the_shipped_weights_find_simulated_kilns() -> None:
    """The simulation is in their training: this shows that the file and the decoding work."""
    detector = Detector.load(default_weights(), device="cpu", precision="fp32")
    scored = score_pictures(detector, [simulated_picture(seed, 3, 192) for seed in range(900, 908)])
    m = match(scored.detections, scored.scores, scored.sites, scored.doubtful, 50.0)
    assert len(scored.sites) > 15
    assert average_precision(m.hit, len(scored.sites)) > 0.7


@pytest.mark.real_data
def test_the_shipped_weights_find_delhis_kilns(shared_data: Path) -> None:
    """In sample: these kilns were trained on. Held-out figures stand in the card."""
    from models.chips import read_scene

    scene = read_scene(
        shared_data / "delhi_s2/scene.tif", shared_data / "delhi_s2/kilns.csv", "Delhi"
    )
    part = scene.columns(6200, 7224, "part")
    detector = Detector.load(default_weights(), device="cpu")
    scored = score_pictures(detector, [part])
    evaluation = scored.evaluate("part", detector.card.threshold)
    assert evaluation.n_sites > 40
    assert evaluation.at(100).recall.value > 0.75
    assert evaluation.at(100).precision.value > 0.6
