"""Samples: labels move with the pixels, and doubtful or unlabelled ground teaches nothing."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.chips import Ground, Picture, PixelPoints, SiteLabels
from models.fitting.augment import (
    CONTEXT_PX,
    DOUBTFUL_RADIUS_PX,
    SAMPLE_PX,
    AugmentSettings,
    draw_placement,
    make_sample,
    make_targets,
)
from models.network import CELL_PX, TYPICAL_LENGTH_PX, TYPICAL_WIDTH_PX
from tests.models.made_up_models import simulated_picture

PLAIN = AugmentSettings(turn_share=1.0, gain=0, gamma=0, saturation=1.0, noise=0, blur_share=0)


def one_site(row: float, col: float, angle_rad: float = 0.0, length_px: float = 11.0) -> SiteLabels:
    return SiteLabels(
        np.array([row]),
        np.array([col]),
        np.array([length_px]),
        np.array([length_px / 2]),
        np.array([angle_rad]),
    )


def bar_picture(angle_rad: float) -> Picture:
    """A bright bar of 24 x 8 px on black, with its label."""
    side = 300
    y, x = np.mgrid[0:side, 0:side] + 0.5
    along = (x - 150) * np.cos(angle_rad) + (y - 140) * np.sin(angle_rad)
    across = -(x - 150) * np.sin(angle_rad) + (y - 140) * np.cos(angle_rad)
    bar = (abs(along) < 12) & (abs(across) < 4)
    pixels = np.where(bar, 200, 1).astype(np.uint8)[None].repeat(3, 0)
    none = np.zeros(0)
    return Picture(
        name="bar",
        place="made up",
        pixels=pixels,
        usable=np.ones((side, side), bool),
        sites=one_site(140.0, 150.0, angle_rad, 24.0),
        doubtful=PixelPoints(none, none),
        blind_edge_px=0,
        ground=Ground(0, 0, 10, 10),
    )


@given(seed=st.integers(0, 10_000), angle=st.floats(0.0, 3.1))
@settings(max_examples=20, deadline=None)
def test_labels_move_with_the_pixels(seed: int, angle: float) -> None:
    rng = np.random.default_rng(seed)
    picture = bar_picture(angle)
    placement = draw_placement(rng, 140 + rng.uniform(-30, 30), 150 + rng.uniform(-30, 30), PLAIN)
    sample = make_sample(picture, placement, rng, PLAIN)
    site = placement.to_sample(picture.sites)
    inner = slice(CONTEXT_PX, CONTEXT_PX + SAMPLE_PX)
    bright = sample.pixels[0, inner, inner].numpy().clip(0)
    y, x = np.mgrid[0:SAMPLE_PX, 0:SAMPLE_PX] + 0.5
    weight = bright / bright.sum()
    weight = np.where(bright > 0.3 * bright.max(), weight, 0)
    weight /= weight.sum()
    row, col = (weight * y).sum(), (weight * x).sum()
    assert (row, col) == (pytest.approx(site.row[0], abs=0.3), pytest.approx(site.col[0], abs=0.3))
    cxx, cyy = (weight * (x - col) ** 2).sum(), (weight * (y - row) ** 2).sum()
    cxy = (weight * (x - col) * (y - row)).sum()
    measured = 0.5 * np.arctan2(2 * cxy, cxx - cyy)
    turn = (measured - site.angle_rad[0] + np.pi / 2) % np.pi - np.pi / 2
    assert turn == pytest.approx(0.0, abs=0.05)
    length = np.sqrt(
        12 * (weight * ((x - col) * np.cos(measured) + (y - row) * np.sin(measured)) ** 2).sum()
    )
    assert length == pytest.approx(site.length_px[0], rel=0.08)


def test_quarter_turns_do_not_blur() -> None:
    rng = np.random.default_rng(0)
    still = replace(PLAIN, turn_share=0.0)
    picture = simulated_picture(0)
    sample = make_sample(picture, draw_placement(rng, 80.2, 79.7, still), rng, still)
    # With every change of colour off, what is left of a pixel is its value over the window's top.
    values = sample.pixels[:, sample.usable[0] > 0].numpy()
    levels = values * picture.pixels.max()
    assert np.abs(levels - np.round(levels)).max() < 0.01
    assert len(np.unique(np.round(levels))) > 50


def test_targets_of_one_site_by_hand() -> None:
    whole = torch.ones(1, SAMPLE_PX, SAMPLE_PX)
    none = one_site(0, 0).shifted(0, 0, np.zeros(1, bool))
    targets, masks = make_targets(one_site(41.0, 63.5, np.pi / 4), none, whole)
    cell = (20, 31)  # pixels 40 to 42 and 62 to 64
    assert targets[0][cell] == 1.0
    assert (targets[0] == 1.0).sum() == 1
    assert targets[0][20, 32].item() == pytest.approx(np.exp(-0.5))
    assert targets[1][cell].item() == pytest.approx((41.0 - 41.0) / CELL_PX)
    assert targets[2][cell].item() == pytest.approx((63.5 - 63.0) / CELL_PX)
    assert targets[3][cell].item() == pytest.approx(np.log(11 / TYPICAL_LENGTH_PX), abs=1e-6)
    assert targets[4][cell].item() == pytest.approx(np.log(5.5 / TYPICAL_WIDTH_PX), abs=1e-6)
    assert targets[5][cell].item() == pytest.approx(0.0, abs=1e-6)
    assert targets[6][cell].item() == pytest.approx(1.0)
    assert masks[1].sum() == masks[2].sum() == 5  # the centre and its four neighbours


def test_a_site_without_a_box_teaches_its_place_only() -> None:
    whole = torch.ones(1, SAMPLE_PX, SAMPLE_PX)
    none = one_site(0, 0).shifted(0, 0, np.zeros(1, bool))
    targets, masks = make_targets(one_site(41.0, 63.0, length_px=0.0), none, whole)
    assert targets[0].max() == 1.0
    assert masks[1].sum() == 5
    assert masks[2].sum() == 0


def test_doubtful_places_and_blind_edges_teach_nothing() -> None:
    taught = torch.ones(1, SAMPLE_PX, SAMPLE_PX)
    taught[:, :10] = 0
    none = one_site(0, 0).shifted(0, 0, np.zeros(1, bool))
    _, masks = make_targets(none, one_site(60.0, 60.0), taught)
    assert masks[0, :5].sum() == 0
    assert masks[0, 30, 30] == 0
    far = int((60 + DOUBTFUL_RADIUS_PX) / CELL_PX) + 1
    assert masks[0, 30, far] == 1


def test_a_site_at_a_doubtful_place_still_counts() -> None:
    whole = torch.ones(1, SAMPLE_PX, SAMPLE_PX)
    _, masks = make_targets(one_site(61.0, 61.0), one_site(66.0, 61.0), whole)
    assert masks[0, 30, 30] == 1


def test_beyond_the_picture_nothing_is_usable() -> None:
    rng = np.random.default_rng(1)
    picture = simulated_picture(1)
    sample = make_sample(picture, draw_placement(rng, 0.0, 80.0, PLAIN), rng, PLAIN)
    assert 0.3 < sample.usable.mean() < 0.7
    assert sample.pixels[:, sample.usable[0] == 0].abs().max() == 0
    assert sample.masks[0].mean() < 0.7
