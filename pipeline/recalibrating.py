"""`kilnlight review recalibrate`: a survey's own curve from score to probability."""

import json
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
from pydantic import ValidationError

from models.calibration import Calibration
from models.detection import DETECTIONS
from models.recalibration import Recalibration, recalibrate
from models.site_class import SiteClass
from models.weights import WeightsCard
from pipeline.run_folder import RunFolder
from pipeline.weights_of_run import card_of_run
from tiles.errors import ReviewError
from tiles.files import write_text
from tiles.matching import match_places
from tiles.tables import read_table

RECALIBRATION_FILE = "recalibration.json"
SAME_PLACE_M = 1.0  # a site takes its position from its best detection
YES, NO = ("confirmed",), ("rejected", "wrong_class")
# Asked for by score or chance alone: given the score, the answer does not depend on the asking.
FAIRLY_ASKED = ("useful", "ranked", "audit")


def recalibrate_run(run_folder: Path, decisions: pd.DataFrame) -> Recalibration:
    """Fit the curve from decisions and write it into the run folder.

    Args:
        run_folder: A finished run.
        decisions: One row a place: lon, lat, decision, asked.

    Raises:
        ReviewError: Too few decisions speak of this run's detections.
        RunFolderError: The folder holds no finished run.
        WeightsError: Its weights are gone.
    """
    card = card_of_run(run_folder)
    survey = (RunFolder(run_folder).manifest() or {})["survey"]
    detections = pd.DataFrame(read_table(run_folder / "detections.parquet", DETECTIONS))
    told = decisions[decisions["decision"].isin(YES + NO) & decisions["asked"].isin(FAIRLY_ASKED)]
    told = told.reset_index(drop=True)
    pairs = match_places(told, detections, SAME_PLACE_M)
    fitted = recalibrate(
        detections["score"].to_numpy(float)[pairs.second],
        told["decision"].isin(YES).to_numpy(bool)[pairs.first],
        card.calibration.at_prevalence(float(survey["site_class"]["prevalence_per_1000km2"])),
        str(survey["weights"]["sha256"]),
    )
    write_text(run_folder / RECALIBRATION_FILE, fitted.model_dump_json(indent=1) + "\n")
    return fitted


def read_recalibration(run_folder: Path) -> Recalibration | None:
    """The curve that a run folder holds, or None.

    Raises:
        ReviewError: the file is damaged.
    """
    path = run_folder / RECALIBRATION_FILE
    if not path.is_file():
        return None
    try:
        return Recalibration.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, ValidationError) as error:
        raise ReviewError(f"{path} is damaged: recalibrate again, or delete it.") from error


def recalibrated(
    detections: gpd.GeoDataFrame,
    run_folder: Path,
    card: WeightsCard,
    weights_sha256: str,
    site_class: SiteClass,
) -> gpd.GeoDataFrame:
    """Detections with the run folder's own probabilities, where it has a curve of its own.

    Raises:
        ReviewError: the curve is damaged, or of other weights or another presumed density.
    """
    curve = read_recalibration(run_folder)
    if curve is None:
        return detections
    presumed = site_class.prevalence_per_1000km2
    if (curve.weights_sha256, curve.prevalence_per_1000km2) != (weights_sha256, presumed):
        raise ReviewError(
            f"{run_folder / RECALIBRATION_FILE} was fitted for other weights or another presumed "
            "density: recalibrate again, or delete it."
        )
    calibration: Calibration = curve.applied_to(card.calibration.at_prevalence(presumed))
    said = calibration.probabilities(
        detections["score"].to_numpy(float), np.asarray(detections["unfamiliar"], bool)
    )
    return detections.assign(p_site=said.p, p_low=said.low, p_high=said.high)
