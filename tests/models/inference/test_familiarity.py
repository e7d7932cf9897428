"""Imagery unlike the training is told from imagery like it, however the scene is cut."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.windows import Window
from scipy.ndimage import gaussian_filter

from models.detection import ArrayWindow, PixelBoxes, PixelOrigin
from models.detector import Detector
from models.inference.familiarity import PATCH_PX, distances, fit_familiarity, patch_statistics
from models.weights import Familiarity, default_weights, load_card
from tests.models.made_up_models import made_up_land, make_weights


def whole(land: np.ndarray) -> np.ndarray:
    return np.ones(land.shape[1:], bool)


@pytest.fixture(scope="module")
def known() -> Familiarity:
    lands = [made_up_land(640, 640, seed) for seed in range(3)]
    features = np.concatenate([patch_statistics(land, whole(land)).features for land in lands])
    return fit_familiarity([("made up", features)])


def test_land_like_the_training_is_familiar_and_other_resolutions_are_not(
    known: Familiarity,
) -> None:
    land = made_up_land(640, 640, 9)
    like = distances(known, patch_statistics(land, whole(land)).features)
    assert (like > known.threshold).mean() < 0.2
    smooth = np.stack([gaussian_filter(band.astype(float), 3) for band in land])
    unlike = distances(known, patch_statistics(smooth, whole(land)).features)
    assert (unlike > known.threshold).mean() > 0.95


def test_scaling_does_not_matter() -> None:
    land = made_up_land(128, 128)
    first = patch_statistics(land, whole(land)).features
    second = patch_statistics(land.astype(np.float32) * 40, whole(land)).features
    assert np.allclose(first, second, atol=1e-4)


def test_patches_with_an_unusable_pixel_are_left_out() -> None:
    land = made_up_land(128, 192)
    usable = whole(land)
    usable[10, 70] = False
    patches = patch_statistics(land, usable)
    assert list(zip(patches.row, patches.col, strict=True)) == [
        (0, 0),
        (0, 128),
        (64, 0),
        (64, 64),
        (64, 128),
    ]


def test_every_second_patch() -> None:
    land = made_up_land(256, 320)
    patches = patch_statistics(land, whole(land), every=2)
    assert sorted(set(patches.row)) == [0, 128]
    assert sorted(set(patches.col)) == [0, 128, 256]


def test_flat_black_patches_say_nothing() -> None:
    black = np.zeros((3, 128, 128), np.uint8)
    assert len(patch_statistics(black, whole(black)).features) == 0


def test_a_box_is_flagged_by_its_own_patch_however_the_scene_is_cut(known: Familiarity) -> None:
    land = made_up_land(512, 512, 5)
    strange = slice(3 * PATCH_PX, 4 * PATCH_PX)
    for band in land:
        band[strange, strange] = gaussian_filter(band, 4)[strange, strange]
    detector = Detector(make_weights(familiarity=known), "cpu", "fp32")
    usable = whole(land)
    boxes = detector.detect(land, usable, ArrayWindow(0, 0, 512, 512), PixelOrigin(0, 0))
    flags = detector.unfamiliar_boxes(land, usable, boxes, PixelOrigin(0, 0))
    inside = (boxes.peak_row // PATCH_PX == 3) & (boxes.peak_col // PATCH_PX == 3)
    assert inside.sum() > 3
    assert flags[inside].all()
    cut = (boxes.peak_row > 200) & (boxes.peak_row < 440) & (boxes.peak_col > 200)
    again = detector.unfamiliar_boxes(
        land[:, 104:, 104:], usable[104:, 104:], boxes[cut], PixelOrigin(104, 104)
    )
    assert np.array_equal(again, flags[cut])


def test_a_card_that_knows_nothing_flags_nothing() -> None:
    detector = Detector(make_weights(), "cpu", "fp32")
    land = made_up_land(128, 128)
    assert detector.unfamiliarity(land, whole(land)) == 0.0
    assert (
        len(detector.unfamiliar_boxes(land, whole(land), PixelBoxes.empty(), PixelOrigin(0, 0)))
        == 0
    )


def test_unfamiliarity_is_the_median_of_patches(known: Familiarity) -> None:
    detector = Detector(make_weights(familiarity=known), "cpu", "fp32")
    land = made_up_land(256, 256, 4)
    patches = patch_statistics(land, whole(land))
    expected = np.median(distances(known, patches.features))
    assert detector.unfamiliarity(land, whole(land)) == pytest.approx(expected)


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["misc/RGB.byte.tif", "planet_like_5m/rgbn_20160517.tif"])
def test_the_shipped_weights_know_another_sensor_when_they_see_it(
    shared_data: Path, name: str
) -> None:
    card = load_card(default_weights())
    assert card.familiarity is not None
    with rasterio.open(shared_data / "rasters" / name) as dataset:
        pixels = dataset.read([1, 2, 3])
    features = patch_statistics(pixels, (pixels > 0).all(axis=0)).features
    far = distances(card.familiarity, features) > card.familiarity.threshold
    assert len(far) >= 40
    assert far.mean() > 0.6


@pytest.mark.real_data
def test_the_shipped_weights_know_the_land_they_were_trained_on(shared_data: Path) -> None:
    card = load_card(default_weights())
    assert card.familiarity is not None
    with rasterio.open(shared_data / "delhi_s2" / "scene.tif") as dataset:
        pixels = dataset.read([1, 2, 3], window=Window(3000, 2000, 1024, 1024))
    features = patch_statistics(pixels, whole(pixels)).features
    assert len(features) == 256
    assert (distances(card.familiarity, features) > card.familiarity.threshold).mean() < 0.1
