"""The steps of a run, in order: look, link, count, test, rank, publish, list."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import geopandas as gpd

from models.detection import DETECTIONS
from models.site_class import SiteClass, load_site_class
from models.weights import WeightsCard, default_weights, load_weights
from pipeline.config import RunSettings, to_toml
from pipeline.progress import Screen
from pipeline.run_folder import RunFolder
from pipeline.survey import DetectorSpec, Survey, SurveyPlan, survey_region
from tiles.blocks import CORE_PX
from tiles.catalog import find_scenes
from tiles.coverage import COVERAGE
from tiles.files import sha256_file, write_text
from tiles.region import Region, read_region, region_of
from tiles.scene import GsdLimits, Scene
from tiles.tables import read_table, write_table

SURVEY_FILES = ("detections.parquet", "coverage.parquet")
UNDATED = "undated"  # the period of a survey whose imagery states no date, when the user names none
