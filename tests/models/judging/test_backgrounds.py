"""The four kinds of land, on land made to be of one kind each."""

import numpy as np

from models.judging.backgrounds import KINDS, NO_KIND, STRIP_PX, classify_land


def land(kind: str, rows: int = 60, cols: int = 60, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if kind == "water":
        return np.stack([rng.normal(mean, 1, (rows, cols)) for mean in (30, 33, 40)])
    if kind == "vegetation":
        return np.stack([rng.normal(mean, 6, (rows, cols)) for mean in (50, 80, 45)])
    if kind == "bare soil":
        return np.stack([rng.normal(mean, 6, (rows, cols)) for mean in (150, 120, 90)])
    roofs = rng.normal(120, 50, (rows, cols))  # each pixel another roof
    return np.clip(np.stack([roofs, roofs, roofs * 0.98]), 5, 255)


def share(kinds: np.ndarray, kind: str) -> float:
    return float((kinds == KINDS.index(kind)).mean())


def test_each_kind_of_land_is_told() -> None:
    for kind in KINDS:
        pixels = land(kind)
        kinds = classify_land(pixels, np.ones(pixels.shape[1:], bool))
        assert share(kinds, kind) > 0.9, kind


def test_the_scaling_of_the_file_does_not_matter() -> None:
    pixels = np.concatenate([land(kind) for kind in KINDS], axis=2)
    usable = np.ones(pixels.shape[1:], bool)
    first = classify_land(pixels, usable)
    second = classify_land((pixels * 40).astype(np.uint16), usable)
    assert (first == second).mean() > 0.99


def test_unusable_pixels_have_no_kind() -> None:
    pixels = land("vegetation")
    usable = np.ones(pixels.shape[1:], bool)
    usable[:20] = False
    kinds = classify_land(pixels, usable)
    assert (kinds[:20] == NO_KIND).all()
    assert share(kinds[20:], "vegetation") > 0.9


def test_strips_of_a_tall_scene_give_the_whole() -> None:
    rows = STRIP_PX + 200
    pixels = np.concatenate([land(kind, rows, 24) for kind in KINDS], axis=2)
    usable = np.ones(pixels.shape[1:], bool)
    whole = classify_land(pixels, usable)
    # Rows away from every edge do not know where a strip ended.
    seam = slice(STRIP_PX - 60, STRIP_PX + 60)
    again = classify_land(pixels[:, 400:], usable[400:])
    assert (whole[seam] == again[slice(seam.start - 400, seam.stop - 400)]).mean() > 0.995
