"""Decisions on a run's places become its own curve, and the run's probabilities follow it."""

import json

import numpy as np
import pandas as pd
import pytest

from maps.linking import SITES
from models.detection import DETECTIONS
from pipeline.config import RunSettings
from pipeline.engine.progress import Screen
from pipeline.recalibrating import RECALIBRATION_FILE, read_recalibration, recalibrate_run
from pipeline.run import run
from tests.made_up import write_raster
from tests.models.made_up_models import simulated_picture
from tiles.errors import ReviewError
from tiles.tables import read_table


@pytest.fixture(scope="module")
def surveyed(tmp_path_factory):
    """A run over land full of made-up kilns."""
    folder = tmp_path_factory.mktemp("recalibrating")
    rows = [
        np.concatenate([simulated_picture(10 * i + j, 4, 192).pixels for j in range(6)], axis=2)
        for i in range(6)
    ]
    scene = write_raster(folder / "scene.tif", np.concatenate(rows, axis=1))
    settings = RunSettings(imagery=(str(scene),), out=folder / "run", precision="fp32", workers=1)
    run(settings, Screen(quiet=True))
    return settings


def decisions(folder, share_yes: float, asked: str = "ranked") -> pd.DataFrame:
    sites = pd.DataFrame(read_table(folder / "sites.parquet", SITES)).sort_values("site_id")
    yes = np.arange(len(sites)) % 10 < 10 * share_yes
    return pd.DataFrame(
        {
            "lon": sites["lon"],
            "lat": sites["lat"],
            "decision": np.where(yes, "confirmed", "rejected"),
            "asked": asked,
        }
    )


def p_site(folder) -> pd.Series:
    return read_table(folder / "sites.parquet", SITES).set_index("site_id")["p_site"]


def test_a_run_takes_up_the_curve_and_leaves_it_when_it_is_gone(surveyed):
    folder = surveyed.out
    before = p_site(folder)
    curve = recalibrate_run(folder, decisions(folder, share_yes=0.2))
    assert curve.n_yes + curve.n_no == len(before)
    assert read_recalibration(folder) == curve
    run(surveyed, Screen(quiet=True))
    after = p_site(folder)
    assert after.mean() == pytest.approx(0.2, abs=0.06)
    assert after.mean() < before.mean() - 0.1
    # the survey's own table stays as it was
    detections = read_table(folder / "detections.parquet", DETECTIONS)
    assert detections["p_site"].mean() > after.mean() + 0.1
    (folder / RECALIBRATION_FILE).unlink()
    run(surveyed, Screen(quiet=True))
    pd.testing.assert_series_equal(p_site(folder), before)


def test_decisions_asked_for_other_reasons_do_not_count(surveyed):
    with pytest.raises(ReviewError, match="0 yes and 0 no are too few"):
        recalibrate_run(surveyed.out, decisions(surveyed.out, 0.5, asked="disputed"))


def test_decisions_of_other_places_do_not_count(surveyed):
    elsewhere = decisions(surveyed.out, 0.5).assign(lon=12.0)
    with pytest.raises(ReviewError, match="0 yes and 0 no"):
        recalibrate_run(surveyed.out, elsewhere)


@pytest.mark.parametrize("change", [{"weights_sha256": "other"}, {"prevalence_per_1000km2": 7}])
def test_a_curve_of_another_survey_is_refused(surveyed, change):
    file = surveyed.out / RECALIBRATION_FILE
    recalibrate_run(surveyed.out, decisions(surveyed.out, 0.5))
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    try:
        with pytest.raises(ReviewError, match="other weights or another presumed density"):
            run(surveyed, Screen(quiet=True))
        file.write_text("{")
        with pytest.raises(ReviewError, match="is damaged"):
            run(surveyed, Screen(quiet=True))
    finally:
        file.unlink()
