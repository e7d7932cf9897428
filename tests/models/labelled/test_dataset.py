"""Dataset files: folds that share no place with training, and what is refused."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from affine import Affine

from models.labelled.dataset import Dataset, load_dataset
from models.labelled.dataset_file import read_dataset_file
from models.labelled.places import near_any
from tests.made_up import UTM_44N, noise, write_raster
from tiles.errors import DatasetError

SOURCE = 'credit = "made up"\nlicence = "CC0-1.0"\n'
SCENE = f"""
[[scenes]]
region = "Land"
image = "scene.tif"
labels = "kilns.csv"
strips = 4
{SOURCE}"""
TILES = f"""
[[tiles]]
region = "Delta"
images = "tiles/geotiff"
labels = "tiles/labels"
table = "tiles.csv"
{SOURCE}"""
EMPTY = f"""
[[empty_chips]]
region = "Bare"
chips = "empty.npz"
places = "empty_places.csv"
kept_out_share = 0.5
{SOURCE}"""
SIMULATION = "[simulation]\npatches = 2\nsize_px = 64\n"
FOLDS = """
[folds.d1]
test = ["Land/1", "south"]

[folds.to_land]
test = ["Land"]

[folds.west]
test = ["Land/[12]"]
validate = ["Land/4"]
"""
HEAD = 'name = "made_up"\nlicence = "CC0-1.0"\nsteps = 3\n'


def tile_at(folder: Path, name: str, east_m: float) -> None:
    where = Affine(10.0, 0.0, east_m, 0.0, -10.0, 2_990_000.0)
    path = folder / f"tiles/geotiff/{name}.tif"
    write_raster(path, noise(128, 128), crs=UTM_44N, transform=where)
    boxes = [[2, 34, 47, 46, 47, 46, 53, 34, 53]]
    (folder / f"tiles/labels/{name}.json").write_text(json.dumps({"obb_px": boxes}))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scene of 64 x 0.2 km with sixteen sites in a row, five tiles, and eight empty chips."""
    folder = tmp_path_factory.mktemp("data")
    write_raster(folder / "scene.tif", noise(16, 6400))
    x = np.arange(200.0, 6400.0, 400.0)
    pd.DataFrame({"x": x, "y": 8.0}).to_csv(folder / "kilns.csv", index=False)
    (folder / "tiles/labels").mkdir(parents=True)
    (folder / "tiles/geotiff").mkdir()
    # c and d are the south; b overlaps c on the ground, as neighbouring tiles do.
    for name, east_km in {"a": 200, "b": 231, "c": 232, "d": 250}.items():
        tile_at(folder, name, 1000.0 * east_km)
    (folder / "tiles.csv").write_text("name,district\na,north\nb,north\nc,south\nd,south\n")
    np.savez(folder / "empty.npz", x=np.ones((8, 16, 16, 3), np.uint8))
    (folder / "empty_places.csv").write_text("place\n0\n0\n1\n1\n2\n2\n3\n3\n")
    return folder


def load(folder: Path, text: str, fold: str | None = None, **options: bool) -> Dataset:
    path = folder / "dataset.toml"
    path.write_text(HEAD + text)
    return load_dataset(path, folder, fold, **options)


def trained(dataset: Dataset, name: str) -> list[str]:
    return [p.name for s in dataset.train if s.name == name for p in s.pictures]


def test_without_a_fold_everything_is_trained_on(data: Path) -> None:
    dataset = load(data, SCENE + TILES + SIMULATION + FOLDS)
    assert [s.name for s in dataset.train] == ["Land", "Delta", "simulation"]
    (scene,) = dataset.train[0].pictures
    assert (scene.usable.shape, len(scene.sites)) == ((16, 6400), 16)
    assert trained(dataset, "Delta") == ["a.tif", "b.tif", "c.tif", "d.tif"]
    assert dataset.test == dataset.validate == ()
    assert dataset.credits == (
        "made up (CC0-1.0)",
        "made up (CC0-1.0)",
        "made-up patches of tiles.simulate (Apache-2.0)",
    )


def test_a_strip_and_a_district_are_held_out_with_a_guard(data: Path) -> None:
    dataset = load(data, SCENE + TILES + FOLDS, "d1")
    assert dataset.fold == "d1"
    strip, *tiles = dataset.test
    assert (strip.place, strip.region, strip.first_col) == ("Land/1", "Land", 0)
    assert (strip.usable.shape, len(strip.sites)) == ((16, 1600), 4)
    assert [(t.name, t.place, t.region) for t in tiles] == [
        ("c.tif", "south", "Delta"),
        ("d.tif", "south", "Delta"),
    ]
    (rest,) = dataset.train[0].pictures
    assert (rest.first_col, rest.usable.shape[1]) == (1700, 4700)  # 1 km off the seam
    assert rest.sites.col.tolist() == list(range(100, 4700, 400))
    assert trained(dataset, "Delta") == ["a.tif"]  # b lies over c, which is held out
    assert dataset.left_out == 1
    pictures = [p for s in dataset.train for p in s.pictures]
    assert not any(near_any(pictures, dataset.test, 999.0))


def test_a_region_or_a_pattern_may_be_held_out(data: Path) -> None:
    away = load(data, SCENE + TILES + FOLDS, "to_land")
    assert [p.place for p in away.test] == [f"Land/{i}" for i in (1, 2, 3, 4)]
    assert [s.name for s in away.train] == ["Delta"]
    assert away.credits == ("made up (CC0-1.0)",)
    west = load(data, SCENE + FOLDS, "west")
    assert [p.place for p in west.test] == ["Land/1", "Land/2"]
    assert [p.place for p in west.validate] == ["Land/4"]
    (middle,) = west.train[0].pictures
    assert (middle.first_col, middle.usable.shape[1]) == (3300, 1400)


def test_empty_places_are_kept_out_of_every_training(data: Path) -> None:
    whole = load(data, TILES + EMPTY + FOLDS)
    fold = load(data, SCENE + TILES + EMPTY + FOLDS, "d1")
    kept = {p.place for p in whole.empty}
    assert {p.place for p in fold.empty} == kept
    assert 0 < len(kept) < 4
    for dataset in (whole, fold):
        used = {p.place for s in dataset.train if s.name == "Bare" for p in s.pictures}
        assert used.isdisjoint(kept)
        assert used | kept == {f"Bare/{i}" for i in range(4)}
    never = load(data, TILES + EMPTY.replace("kept_out_share = 0.5", "evaluation_only = true"))
    assert len(never.empty) == 8
    assert trained(never, "Bare") == []


def test_what_is_only_for_evaluation_is_scored_and_never_trained_on(data: Path) -> None:
    closed = SCENE.replace("CC0-1.0", "CC-BY-NC-4.0") + "evaluation_only = true\n"
    dataset = load(data, TILES + closed + SIMULATION + FOLDS, "to_land")
    assert len(dataset.test) == 4
    assert [s.name for s in dataset.train] == ["Delta", "simulation"]
    assert not any("NC" in credit for credit in dataset.credits)
    assert load(data, TILES + closed + FOLDS).test == ()


def test_simulation_repeats_from_its_seed_and_can_be_left_out(data: Path) -> None:
    first, second = (load(data, SIMULATION).train[0].pictures for _ in range(2))
    assert np.array_equal(first[1].pixels, second[1].pixels)
    assert first[1].sites.row.tolist() == second[1].sites.row.tolist()
    assert load(data, SIMULATION, simulate=False).train == ()


@pytest.mark.parametrize(
    ("text", "fold", "message"),
    [
        ("", None, "no labelled site to train on"),
        (EMPTY, None, "no labelled site to train on"),
        (TILES + FOLDS, "east", "no fold 'east': its folds are d1, to_land, west"),
        # before any imagery is looked for
        (TILES.replace("tiles/geotiff", "gone") + FOLDS, "east", "no fold 'east'"),
        (TILES.replace("CC0-1.0", "cc by-nc 4.0"), None, "cannot be CC0-1.0"),
        (
            TILES + FOLDS,
            "d1",
            "holds out 'Land/1', which is no place or region of it: there are De",
        ),
        (SCENE + '[folds.all]\ntest = ["Land"]\n', "all", "no labelled site to train on"),
        (
            SCENE + '[folds.twice]\ntest = ["Land/1"]\nvalidate = ["Land/1"]\n',
            "twice",
            "place 'Land/1' in test and in validate",
        ),
        (TILES + 'colour = "red"\n', None, "tiles.0.colour"),
        ("[labelled_chips]\n", None, "holds chips labelled as a whole"),
        (TILES.replace("CC0-1.0", "none stated"), None, "states no licence: set evaluation_only"),
        (TILES.replace("CC0-1.0", "CC-BY-NC-4.0"), None, "cannot be CC0-1.0"),
        (
            'out_of_fold = ["a.csv", "b.csv", "a.csv"]\n' + TILES,
            None,
            "out_of_fold names a table twice",
        ),
        (SCENE.replace("strips = 4", "strips = 5"), None, r"12\.8 km each, at least 15 km"),
        ("steps = 4\n", None, "is not TOML"),
    ],
)
def test_wrong_files_are_said_in_one_sentence(
    data: Path, text: str, fold: str | None, message: str
) -> None:
    with pytest.raises(DatasetError, match=message):
        load(data, text, fold)


def test_two_dates_of_a_scene_are_held_out_together(data: Path, tmp_path: Path) -> None:
    for folder in ("first", "second"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "scene.tif").symlink_to(data / "scene.tif")
    (tmp_path / "kilns.csv").symlink_to(data / "kilns.csv")
    first, second = (SCENE.replace("scene.tif", f"{n}/scene.tif") for n in ("first", "second"))
    dataset = load(tmp_path, first + second + '[folds.d1]\ntest = ["Land/1"]\n', "d1")
    assert [(p.place, p.first_col) for p in dataset.test] == [("Land/1", 0)] * 2
    assert [p.first_col for s in dataset.train for p in s.pictures] == [1700, 1700]
    apart = second.replace("Land", "Other")
    with pytest.raises(DatasetError, match="hold out both"):
        load(tmp_path, first + apart + '[folds.d1]\ntest = ["Land/1"]\n', "d1")


def test_a_scene_under_a_tile_held_out_is_refused(data: Path, tmp_path: Path) -> None:
    (tmp_path / "tiles/labels").mkdir(parents=True)
    (tmp_path / "tiles/geotiff").mkdir()
    tile_at(tmp_path, "e", 510_000.0)  # on the made-up scene
    (tmp_path / "tiles.csv").write_text("name,district\ne,south\n")
    for name in ("scene.tif", "kilns.csv"):
        (tmp_path / name).symlink_to(data / name)
    with pytest.raises(DatasetError, match="hold out both"):
        load(tmp_path, SCENE + TILES + '[folds.d1]\ntest = ["south"]\n', "d1")


def test_two_regions_share_no_name_of_a_place(data: Path) -> None:
    with pytest.raises(DatasetError, match="'north' lies in Delta and in Coast"):
        load(data, TILES + TILES.replace("Delta", "Coast"))


def test_a_fold_without_a_labelled_site_says_so(data: Path, tmp_path: Path) -> None:
    (tmp_path / "scene.tif").symlink_to(data / "scene.tif")
    (tmp_path / "kilns.csv").write_text("x,y\n6000,8\n")
    text = SCENE + '[folds.west]\ntest = ["Land/1"]\n'
    with pytest.raises(DatasetError, match=r"The test part of the fold 'west' .* no labelled site"):
        load(tmp_path, text, "west")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"none\.toml cannot be read"):
        read_dataset_file(tmp_path / "none.toml")


DATASETS = Path(__file__).parents[3] / "models" / "datasets"


def test_committed_dataset_files_are_valid() -> None:
    whole = read_dataset_file(DATASETS / "brick_kiln.toml")
    free = read_dataset_file(DATASETS / "brick_kiln_free.toml")
    assert {"d1", "d2", "d3", "d4", "to_delhi", "to_bangladesh", "to_up"} <= set(whole.folds)
    tables = (*whole.out_of_fold, *whole.transfers, *whole.adapted)
    assert all((DATASETS / path).is_file() for path in tables)
    for file in (whole, free):
        europe = next(s for s in file.empty_chips if "negatives_s2" in str(s.chips))
        assert europe.evaluation_only
    assert {s.licence for s in free.trained_sources} == {"CC-BY-4.0", "MIT"}
    assert [c.keep_sources for c in free.chips] == [("BrickKilnsNeurIPS24",)]


def test_the_dataset_file_in_the_guide_is_a_valid_one(tmp_path: Path) -> None:
    guide = (Path(__file__).parents[3] / "docs/training.md").read_text()
    start = guide.index("    name = ")
    block = guide[start : guide.index("\nThen train and score", start)]
    path = tmp_path / "guide.toml"
    path.write_text("\n".join(line.removeprefix("    ") for line in block.splitlines()))
    file = read_dataset_file(path)
    assert list(file.folds) == ["d1", "to_khulna"]
    assert (len(file.scenes), len(file.tiles), len(file.empty_chips)) == (1, 1, 1)


@pytest.mark.real_data
def test_the_folds_of_the_real_data_share_no_ground(shared_data: Path) -> None:
    path = DATASETS / "brick_kiln.toml"
    dataset = load_dataset(path, shared_data, "d2", simulate=False)
    assert {p.place for p in dataset.test} == {"Delhi/2", "tangail"}
    west, east = dataset.train[0].pictures
    strip = dataset.test[0]
    for seam_px in (strip.first_col - west.usable.shape[1], east.first_col - 2 * strip.first_col):
        assert 1000 <= seam_px * strip.ground.col_m < 1020
    pictures = [p for s in dataset.train for p in s.pictures]
    assert not any(near_any(pictures, dataset.test, 990.0))
    sites = [len(p.sites) for p in (west, strip, east)]
    assert sum(sites) <= 595
    assert min(sites) > 20
    assert {p.region for p in dataset.empty} == {"Amazon", "Europe"}
