"""Kill -9 at 20 random moments, each resumed: the tables at the end are byte-identical."""

import os
import random
import signal
import time
from pathlib import Path

import pytest

from tests.end_to_end.test_engine import QUICK, begin
from tests.pipeline.engine import settings_for, survey, table_bytes, threads_cluster, write_belt

KILLS = 20
LONGEST_S = 30.0  # of a session: start, and most of the tasks
DELHI = Path("../shared/data/delhi_s2/scene.tif")


@pytest.mark.parametrize("scene", ["made up", "of Delhi"])
def test_twenty_kills_at_random_moments(tmp_path, scene):
    if scene == "of Delhi" and not DELHI.exists():
        pytest.skip(f"{DELHI} is not on this machine")
    made_up = scene == "made up"
    belt = write_belt(tmp_path / "belt.tif", 4000, 6000) if made_up else DELHI.absolute()
    with threads_cluster() as address:
        survey(settings_for(belt, tmp_path / "whole", scheduler=address, engine=QUICK))
    rng, out, ended = random.Random(11), tmp_path / "run", 0
    for _ in range(KILLS):
        process = begin(belt, out)
        time.sleep(rng.uniform(0.5, LONGEST_S))
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        else:
            ended += 1
        process.wait()
    assert begin(belt, out).wait() == 0
    print(
        f"\n{scene}: {KILLS - ended} kills at random moments, {ended} sessions ended by themselves"
    )
    assert table_bytes(out) == table_bytes(tmp_path / "whole")
