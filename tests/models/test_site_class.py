"""Site classes: the built-in one, one of a user's own, and wrong files."""

from pathlib import Path

import pytest

import models.site_class
from models.site_class import Limits, known_site_classes, load_site_class
from tiles.errors import ConfigError

BUILT_IN = Path(models.site_class.__file__).parent / "brick_kiln.toml"


def test_the_brick_kiln_is_built_in() -> None:
    kiln = load_site_class("brick_kiln")
    assert "brick_kiln" in known_site_classes()
    assert kiln.prevalence_per_1000km2 == 30
    assert kiln.merge_radius_m == 60
    assert kiln.match_tolerance_m == 100
    assert kiln.industry == "C_Manufacturing"
    assert kiln.disclaimer == "worksite detected, labour conditions not assessed"
    for country in (None, "BD", "IN", "NP", "PK", "XX"):
        assert {7, 8, 9}.isdisjoint(kiln.seasons.months(country))  # nothing is fired in the monsoon
    assert 6 in kiln.seasons.months("IN")
    assert 6 not in kiln.seasons.months("BD")
    assert kiln.seasons.months("LK") == kiln.seasons.months() == kiln.seasons.default
    assert kiln.length_m.contains(97)
    assert not kiln.length_m.contains(25)


def test_a_class_of_ones_own_needs_no_code(tmp_path: Path) -> None:
    path = tmp_path / "charcoal_oven.toml"
    path.write_text(
        BUILT_IN.read_text()
        .replace('name = "brick_kiln"', 'name = "charcoal_oven"')
        .replace("prevalence_per_1000km2 = 30.0", "prevalence_per_1000km2 = 4.5")
    )
    own = load_site_class(path)
    assert (own.name, own.prevalence_per_1000km2) == ("charcoal_oven", 4.5)


def test_the_gold_mine_is_built_in() -> None:
    mine = load_site_class("gold_mine")
    assert known_site_classes() == ("brick_kiln", "gold_mine")
    assert mine.industry == "B_MiningAndQuarrying"
    assert mine.length_m.contains(480)  # the square that its detector answers for
    assert mine.seasons.months("BR") == tuple(range(1, 13))
    assert mine.disclaimer == "worksite detected, labour conditions not assessed"


def test_sensors_are_found_by_their_pixels() -> None:
    kiln = load_site_class("brick_kiln")
    assert kiln.sensors_at(10.0) == ("sentinel-2",)
    assert kiln.sensors_at(5.0) == ()


def test_weights_are_found_beside_the_class_and_are_no_part_of_it(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text('weights = "own.safetensors"\n' + BUILT_IN.read_text())
    own = load_site_class(path)
    assert own.weights == str(tmp_path / "own.safetensors")
    assert own.model_dump(mode="json") == load_site_class("brick_kiln").model_dump(mode="json")
    path.write_text('weights = "brick_kiln_free"\n' + BUILT_IN.read_text())
    assert load_site_class(path).weights == "brick_kiln_free"


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("merge_radius_m = 60.0", "merge_radius_m = -1", "merge_radius_m"),
        ("merge_radius_m = 60.0", "merge_radius = 60", "merge_radius"),
        ("low = 40.0", "low = 400.0", "length_m"),
        ("mid = 120", "mid = 20", "workers_per_site"),
        ("11, 12, 1, 2", "11, 13", "seasons.default"),
        ("BD = [11", "bd = [11", "seasons.countries"),
        ("BD = [11, 12, 1, 2, 3, 4, 5]", "BD = []", "seasons.countries.BD"),
        ("low = 8.5, high = 12.0", "low = 8.5, high = 60.0", "outside gsd_m"),
        ('harm_level = "high"', "harm_level = high", "is not TOML"),
    ],
)
def test_wrong_files_name_the_place(tmp_path: Path, before: str, after: str, message: str) -> None:
    text = BUILT_IN.read_text()
    assert before in text
    path = tmp_path / "wrong.toml"
    path.write_text(text.replace(before, after))
    with pytest.raises(ConfigError, match=message):
        load_site_class(path)


@pytest.mark.parametrize(
    ("name", "message"), [("volcano", "no site class 'volcano'"), ("none.toml", "cannot be read")]
)
def test_unknown_classes(name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_site_class(name)


def test_limits_must_rise() -> None:
    with pytest.raises(ValueError, match="lies under"):
        Limits(low=2, high=1)
