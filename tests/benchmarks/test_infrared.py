"""What `infrared` compares are the same pictures, with more bands and nothing else changed."""

from dataclasses import replace

import numpy as np

from models.weights import NetworkShape
from tests.benchmarks.colour_model import pixel_features
from tests.benchmarks.infrared import BANDS, widened
from tests.models.made_up_models import simulated_picture


def test_bands_are_added_behind_the_colours_of_the_picture_of_that_name() -> None:
    first, second = (replace(simulated_picture(i, 1, 64), name=str(i)) for i in (0, 1))
    bands = np.arange(12, dtype=np.uint8)[:, None, None] * np.ones((1, 64, 64), np.uint8)
    chips = {"0": bands, "1": 10 * bands}
    wide = widened((first, second), chips, ("B08", "B11", "B12"))
    assert [BANDS[i] for i in (7, 10, 11)] == ["B08", "B11", "B12"]
    assert wide[0].pixels[3:, 0, 0].tolist() == [7, 10, 11]
    assert wide[1].pixels[3:, 5, 9].tolist() == [70, 100, 110]
    assert np.array_equal(wide[1].pixels[:3], second.pixels)
    assert widened((first,), chips, ())[0].pixels.shape == first.pixels.shape


def test_features_of_colours_do_not_change_when_bands_are_added() -> None:
    picture = simulated_picture(3, 1, 64)
    more = replace(picture, pixels=np.concatenate([picture.pixels, picture.pixels[::-1]]))
    plain, wide = (pixel_features(p, NetworkShape()) for p in (picture, more))
    assert len(wide) == 2 * len(plain)
    assert np.array_equal(wide[:3], plain[:3])
    assert np.array_equal(wide[3:6], plain[2::-1])  # their own deviation is the same three bands'
