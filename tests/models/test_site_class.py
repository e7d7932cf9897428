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
    assert {7, 8, 9}.isdisjoint(kiln.season_months)  # nothing is fired in the monsoon
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


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("merge_radius_m = 60.0", "merge_radius_m = -1", "merge_radius_m"),
        ("merge_radius_m = 60.0", "merge_radius = 60", "merge_radius"),
        ("low = 40.0", "low = 400.0", "length_m"),
        ("mid = 120", "mid = 20", "workers_per_site"),
        ("11, 12, 1, 2", "11, 13", "season_months"),
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
