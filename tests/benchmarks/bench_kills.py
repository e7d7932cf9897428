"""Kill -9 at 20 random moments, each resumed: the tables at the end are byte-identical."""

import os
import random
import signal
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest

from pipeline.run_folder import SURVEY_FILES
from tests.end_to_end.test_engine import QUICK, begin, landed, wait_for
from tests.pipeline.engine_runs import (
    settings_for,
    survey,
    table_bytes,
    threads_cluster,
    write_belt,
)

KILLS = 20
MOST_RESULTS = 4  # of a session that is killed at work: so that many of them get to work
DELHI = Path("../shared/data/delhi_s2/scene.tif")


@pytest.mark.parametrize("scene", ["made up", "of Delhi"])
def test_twenty_kills_at_random_moments(tmp_path, scene):
    if scene == "of Delhi" and not DELHI.exists():
        pytest.skip(f"{DELHI} is not on this machine")
    made_up = scene == "made up"
    belt = write_belt(tmp_path / "belt.tif", 4000, 8000) if made_up else DELHI.absolute()
    with threads_cluster(threads=2) as address:
        survey(settings_for(belt, tmp_path / "whole", scheduler=address, engine=QUICK))
    out, rng, when = tmp_path / "run", random.Random(11), Counter()
    start_s = killed(belt, out, lambda process: until_landed(process, out, 1))
    when["at work"] += 1
    print(f"\n{scene}, killed at the first result, after {start_s:.1f} s", flush=True)
    for _ in range(KILLS - 1):
        before = landed(out)
        if rng.random() < 0.5:
            killed(belt, out, lambda _: time.sleep(rng.uniform(0.2, start_s)))
        else:
            wanted = before + rng.randint(1, MOST_RESULTS)
            killed(belt, out, lambda process: until_landed(process, out, wanted, rng.random()))  # noqa: B023
        when[phase(out, before)] += 1
        print(f"  killed {phase(out, before)}, with {landed(out)} results", flush=True)
    kept = landed(out)
    assert begin(belt, out, workers=2).wait() == 0
    print(f"  {KILLS} kills: {dict(when)}")
    print(f"  {kept} of {landed(out)} results had landed before the session that nobody killed")
    assert table_bytes(out) == table_bytes(tmp_path / "whole")
    assert when["before a result of its own"]
    assert when["at work"] > 3


def until_landed(process, out, results, then_s=0.0):
    """Wait for so many results, or the end of the process, and a little longer."""
    wait_for(lambda: landed(out) >= results or process.poll() is not None, "a result")
    time.sleep(then_s)


def killed(belt, out, until):
    """Begin or go on with a survey, kill its processes then, and say how long they lived."""
    began = time.monotonic()
    process = begin(belt, out, workers=2)
    until(process)
    with suppress(ProcessLookupError):  # it has ended by itself
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return time.monotonic() - began


def phase(out, before):
    """What a session that was killed had come to, by what it left behind."""
    if all((out / name).exists() for name in SURVEY_FILES):
        return "after all tables were written"
    if any((out / name).exists() for name in SURVEY_FILES):
        return "while tables were written"
    return "at work" if landed(out) > before else "before a result of its own"
