"""A class nobody wrote code for: a TOML file, COCO labels, a training, and a survey with it."""

import json

import numpy as np
import pytest
from PIL import Image

import models.training as training
from maps.linking import SITES
from models.fitting.loop import TrainingRecipe
from models.training import TrainSettings, train
from models.weights import load_card
from pipeline.config import RunSettings
from pipeline.engine.progress import Screen
from pipeline.run import run
from tests.made_up import write_raster
from tests.models.made_up_models import SMALL
from tiles.errors import SceneError, WeightsError
from tiles.scene import GsdLimits, open_scene
from tiles.tables import read_table

TILE_PX = 128
SCENE_PX = 384

OVEN = """
name = "charcoal_oven"
title = "Charcoal oven"
industry = "C_Manufacturing"
harm_level = "high"
disclaimer = "worksite detected, labour conditions not assessed"
length_m = { low = 50.0, high = 250.0 }
width_m = { low = 30.0, high = 200.0 }
gsd_m = { low = 0.3, high = 12.0 }
merge_radius_m = 60.0
match_tolerance_m = 100.0
prevalence_per_1000km2 = 500.0
workers_per_site = { low = 2, mid = 6, high = 15 }
weights = "own.safetensors"

[sensors]
sentinel-2 = { low = 8.5, high = 12.0 }

[seasons]
default = [5, 6, 7, 8, 9]

[seasons.countries]
BR = [4, 5, 6, 7, 8, 9, 10]
"""

DATASET = """
name = "charcoal_ovens"
site_class = "own.toml"
licence = "CC0-1.0"
steps = 160

[[tiles]]
region = "Cerrado"
images = "."
labels = "ovens.json"
format = "coco"
credit = "made up"
licence = "CC0-1.0"

[folds.own]
test = ["south"]
validate = ["middle"]
"""


def savanna(rng, side_px):
    """Grey-green noise, (3, side, side)."""
    base = np.array([110.0, 120.0, 90.0])[:, None, None]
    return base + 5 * rng.normal(size=(3, side_px, side_px))


def burn(land, row, col):
    """A black round of 110 m with a pale rim; the corners of the square around it."""
    r, c = np.indices(land.shape[1:])
    away = np.hypot(r + 0.5 - row, c + 0.5 - col)
    land[:, away < 5.5] = 190.0
    land[:, away < 4.0] = 25.0
    return [[col + 5.5 * x, row + 5.5 * y] for x, y in ((-1, -1), (1, -1), (1, 1), (-1, 1))]


def labelled_tiles(folder):
    """Fifteen tiles over three places as PNG, a COCO file and a dataset file beside them."""
    rng = np.random.default_rng(0)
    images, annotations = [], []
    for number in range(15):
        land = savanna(rng, TILE_PX)
        name = f"tile_{number}.png"
        for row in (30, 90):
            corners = burn(land, row + rng.uniform(-10, 10), rng.uniform(20, 108))
            annotations.append(
                {
                    "id": len(annotations),
                    "image_id": number,
                    "category_id": 1,
                    "segmentation": [np.ravel(corners).tolist()],
                }
            )
        pixels = np.clip(land, 1, 255).astype(np.uint8)
        Image.fromarray(np.moveaxis(pixels, 0, -1)).save(folder / name)
        size = {"width": TILE_PX, "height": TILE_PX}
        place = ("north", "middle", "south")[number % 3]
        images.append({"id": number, "file_name": name, "place": place, **size})
    categories = [{"id": 1, "name": "oven"}]
    content = {"images": images, "categories": categories, "annotations": annotations}
    (folder / "ovens.json").write_text(json.dumps(content))
    (folder / "ovens.toml").write_text(DATASET)
    return folder / "ovens.toml"


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """The class, weights trained on one of the places, and a scene with known ovens."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "own.toml").write_text(OVEN)
    with pytest.MonkeyPatch.context() as patch:
        recipe = TrainingRecipe(steps=160, batch=6, learning_rate=1e-2, shape=SMALL)
        patch.setattr(training, "default_recipe", lambda steps, start=None: recipe)
        train(
            TrainSettings(
                dataset=labelled_tiles(folder),
                out=folder / "own.safetensors",
                data_root=folder,
                fold="own",
                site_class=str(folder / "own.toml"),
                threads=1,
                device="cpu",
                workers=0,
            )
        )
    land = savanna(np.random.default_rng(9), SCENE_PX)
    ovens = [(60, 80), (100, 300), (220, 150), (300, 60), (310, 320)]
    for row, col in ovens:
        burn(land, row, col)
    pixels = np.clip(land, 1, 255).astype(np.uint8)
    write_raster(folder / "S2_20260415.tif", pixels)
    return folder, ovens


def settings(folder, out, **changes):
    return RunSettings(
        imagery=(str(folder / "S2_20260415.tif"),),
        out=out,
        precision="fp32",
        device="cpu",
        workers=1,
        simulated=True,
        **{"site_class": str(folder / "own.toml"), **changes},
    )


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_a_class_of_ones_own_is_trained_and_surveyed_without_code(own, tmp_path):
    folder, ovens = own
    card = load_card(folder / "own.safetensors")
    assert (card.name, card.site_class) == ("charcoal_ovens-own", "charcoal_oven")
    assert card.recall.mean > 0.8
    with pytest.raises(SceneError, match="of April, out of season for charcoal ovens: nothing is"):
        run(settings(folder, tmp_path / "run"), Screen(quiet=True))
    all_year = settings(folder, tmp_path / "run", pixels={"any_season": True})
    summary = run(all_year, Screen(quiet=True))
    sites = read_table(tmp_path / "run" / "sites.parquet", SITES)
    assert set(sites["site_class"]) == {"charcoal_oven"}
    scene = open_scene(folder / "S2_20260415.tif", "s", GsdLimits())
    col, row = scene.to_pixel(sites["lon"], sites["lat"])
    for oven_row, oven_col in ovens:
        assert np.hypot(row - oven_row, col - oven_col).min() < 4
    assert len(sites) < 3 * len(ovens)
    assert any("of April, out of season for charcoal ovens" in w for w in summary.warnings())
    public = (tmp_path / "run" / "public" / "index.html").read_text()
    assert "worksite detected, labour conditions not assessed" in public.lower()
    assert "charcoal oven" in public.lower()


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_a_season_of_the_country_is_no_reason_for_caution(own, tmp_path):
    folder, _ = own
    summary = run(settings(folder, tmp_path / "run", country="BR"), Screen(quiet=True))
    assert not any("out of season" in w for w in summary.warnings())


def test_weights_of_another_class_are_refused(own, tmp_path):
    folder, _ = own
    other = settings(
        folder, tmp_path / "run", site_class="brick_kiln", weights=folder / "own.safetensors"
    )
    with pytest.raises(WeightsError, match="finds charcoal_oven, not brick_kiln"):
        run(other, Screen(quiet=True))
    coarse = OVEN.replace("gsd_m = { low = 0.3, high = 12.0 }", "gsd_m = { low = 0.3, high = 9.0 }")
    coarse = coarse.replace("low = 8.5, high = 12.0", "low = 8.5, high = 9.0")
    (folder / "coarse.toml").write_text(coarse)
    with pytest.raises(WeightsError, match="works at 10 m, and the class charcoal_oven is seen at"):
        run(settings(folder, tmp_path / "run", site_class=str(folder / "coarse.toml")), Screen())
    assert not (tmp_path / "run").exists()
