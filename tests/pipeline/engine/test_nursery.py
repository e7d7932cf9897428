"""Workers are forked from a process that is warm, and runs no thread."""

import os
import signal
import subprocess
import sys

import pytest

from pipeline.engine import nursery
from pipeline.plan import resolve_here
from tests.pipeline.engine_runs import write_belt
from tiles.errors import ConfigError

pytestmark = pytest.mark.skipif(
    nursery.START_METHOD != "forkserver", reason="here workers start from nothing"
)


PLANS = """
import sys
from pathlib import Path
from pipeline.config import RunSettings
from pipeline.plan import plan_survey

if __name__ == "__main__":
    asked = {"imagery": [sys.argv[1]], "out": sys.argv[2]}
    plan, _ = plan_survey(RunSettings.of(asked, "test"))
    print(plan.detector.device, plan.detector.precision in ("fp32", "bf16"), "torch" in sys.modules)
"""


def parent_of_this():
    """What a worker says of itself, and of the process it was forked from."""
    heavy = {"torch", "distributed", "pipeline.engine.worker", "models.detector"} & set(sys.modules)
    parent = os.getppid()
    threads = len(os.listdir(f"/proc/{parent}/task"))
    ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    return parent, threads, heavy, os.environ["OMP_NUM_THREADS"], ignored


def test_what_workers_are_forked_from_is_warm_and_has_one_thread():
    nursery.begin()
    nursery.begin()  # a second time does nothing
    told = [nursery.ask(parent_of_this) for _ in range(2)]
    (parent, threads, heavy, omp, ignored), (again, *_) = told
    assert parent == again != os.getpid()
    assert threads == 1
    assert heavy == {"torch", "distributed", "pipeline.engine.worker", "models.detector"}
    assert omp == os.environ.get("OMP_NUM_THREADS", "1")
    assert ignored


def test_what_the_user_has_set_stands(monkeypatch):
    monkeypatch.setenv("KILNLIGHT_A", "mine")
    with nursery._added_to_environment({"KILNLIGHT_A": "1", "KILNLIGHT_B": "2"}):
        assert (os.environ["KILNLIGHT_A"], os.environ["KILNLIGHT_B"]) == ("mine", "2")
    assert os.environ["KILNLIGHT_A"] == "mine"
    assert "KILNLIGHT_B" not in os.environ


def test_an_error_there_is_an_error_here():
    with pytest.raises(ConfigError, match="no precision 'fp8'"):
        nursery.ask(resolve_here, "cpu", "fp8")


def test_a_survey_is_planned_without_torch(tmp_path):
    image = write_belt(tmp_path / "belt.tif", 64, 64)
    (tmp_path / "plans.py").write_text(PLANS)
    command = [sys.executable, tmp_path / "plans.py", image, tmp_path / "out"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["cpu", "True", "False"]
