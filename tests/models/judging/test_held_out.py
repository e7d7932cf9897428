"""The report of a dataset's own folds: places are judged by what other places chose."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from models.judging.held_out import held_out_report, once_adapted, write_report
from models.judging.scoring import write_scores
from tiles.errors import DatasetError


def table(region: str, places: int, shift: float, fold: str, n: int = 400) -> pd.DataFrame:
    """Scores whose truth follows shift + log-odds of the score, at 30 sites per 1,000 km2."""
    rng = np.random.default_rng(places)
    score = rng.uniform(0.06, 0.95, n * places)
    p = 1 / (1 + np.exp(-(shift + np.log(score / (1 - score)))))
    is_site = rng.random(len(score)) < p
    place = np.repeat([f"{region}/{i}" for i in range(places)], n)
    sites_a_place = [is_site[place == name].sum() for name in place]
    return pd.DataFrame(
        {
            "score": score,
            "is_site": is_site,
            "per_1000km2": 30.0,
            "place": [
                f"{name}/{b}" for name, b in zip(place, rng.integers(0, 6, len(place)), strict=True)
            ],
            "region": region,
            "fold": fold,
            "seed": 0,
            "area_km2": np.round(1000 * np.array(sites_a_place) / 30.0, 4),
        }
    )


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    write_scores(table("North", 3, 0.0, "n"), tmp_path / "north.csv")
    write_scores(table("South", 2, 0.0, "s"), tmp_path / "south.csv")
    write_scores(table("South", 2, -2.0, "to_south"), tmp_path / "to_south.csv")
    path = tmp_path / "made_up.toml"
    path.write_text(
        'name = "made_up"\nlicence = "CC0-1.0"\nsteps = 1\n'
        'out_of_fold = ["north.csv", "south.csv"]\ntransfers = ["to_south.csv"]\n'
        "[simulation]\npatches = 1\n"
    )
    return path


def test_places_and_regions_are_judged_by_the_others(dataset: Path) -> None:
    report = held_out_report(dataset)
    values = {figure.name: figure.value for figure in report.figures}
    assert {"North: F1", "South: average precision"} <= set(values)
    assert report.calibration["all"].slope.value == pytest.approx(1.0, abs=0.15)
    assert report.calibration["all"].in_the_large.value == pytest.approx(0.0, abs=0.2)
    # The network that never saw South finds less there than the North's curve says.
    assert list(report.calibration_unseen) == ["South"]
    assert report.calibration_unseen["South"].in_the_large.value == pytest.approx(-2.0, abs=0.4)
    unseen = {figure.name: figure.value for figure in report.unseen}
    assert unseen["South: average precision"] < values["South: average precision"]


def test_adapted_weights_are_judged_by_other_adapted_ones(dataset: Path, tmp_path: Path) -> None:
    # once adapted, scores are higher everywhere: what they mean only other adapted ones can say
    for region in ("North", "South"):
        write_scores(table(region, 2, -3.0, "to"), tmp_path / f"adapted_{region}.csv")
    names = 'adapted = ["adapted_North.csv", "adapted_South.csv"]\n'
    dataset.write_text(names + dataset.read_text())
    report = held_out_report(dataset)
    assert set(report.calibration_adapted) == {"North", "South"}
    for found in report.calibration_adapted.values():
        assert found.in_the_large.value == pytest.approx(0.0, abs=0.3)
    adapted = {figure.name: figure.value for figure in report.adapted}
    assert adapted["North: average precision"] > 0
    words = report.summary()
    assert words.index("Regions never seen") < words.index("once adapted to their own imagery")


def test_how_far_adapted_weights_are_off_elsewhere_is_what_others_curves_are_off_by() -> None:
    scores = pd.concat([table("North", 3, 0.0, "to"), table("South", 3, -3.0, "to")])
    found = once_adapted(scores.reset_index(drop=True), 30.0)
    assert found is not None
    # each region's curve is off by 3 in the other; the curve of both, by half of that in each
    assert found.calibration.variance_elsewhere**0.5 == pytest.approx(3.0, abs=0.5)
    assert {figure.name.partition(": ")[0] for figure in found.figures} == {
        "North, never labelled, adapted to",
        "South, never labelled, adapted to",
    }


def test_the_report_reads_well_and_is_written(dataset: Path, tmp_path: Path) -> None:
    report = held_out_report(dataset)
    words = report.summary()
    assert "thresholds chosen on other places" in words
    assert "Regions never seen" in words
    assert "labour conditions not assessed" in words
    written = write_report(report, tmp_path / "out")
    assert type(report).model_validate_json(written.read_text()) == report


def test_a_dataset_without_tables_has_no_report(dataset: Path) -> None:
    text = dataset.read_text().replace('out_of_fold = ["north.csv", "south.csv"]\n', "")
    dataset.write_text(text)
    with pytest.raises(DatasetError, match="names no out_of_fold tables"):
        held_out_report(dataset)
