"""By what a folder knows its survey again: it must be what a manifest gives back."""

import json

import numpy as np
import pytest

from pipeline.config import RunSettings
from pipeline.engine.identity import survey_identity
from pipeline.plan import plan_survey
from tests.seasons import ground, write_date


@pytest.mark.parametrize("way", [{}, {"composite": "median"}, {"mosaic": "newest"}])
def test_a_survey_of_reflectance_is_known_again_by_its_manifest(tmp_path, way):
    for number, date in enumerate(("2025-12-05", "2026-01-04")):
        write_date(tmp_path, date, ground(64, 64) + np.uint16(number), offset=1000)
    settings = RunSettings(imagery=(str(tmp_path),), out=tmp_path / "run", pixels=way)
    identity = survey_identity(*plan_survey(settings), None)
    assert "sentinel-2-l2a" in str(identity["imagery"])
    assert json.loads(json.dumps(identity)) == identity
