"""What a run says at its end."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline.summary import RunSummary

AGAIN = "once that is mended, --refresh tries what failed again, and keeps the rest."
MORE = "2 more files or blocks failed: manifest.json lists them."


@pytest.mark.parametrize(
    ("broken", "failed", "said"),
    [
        (0, 0, []),
        (1, 0, ["file 0"]),
        (1, 2, ["file 0", "block 0", "block 1", AGAIN]),
        (0, 5, ["block 0", "block 1", "block 2", MORE, AGAIN]),
    ],
)
def test_who_reads_of_failures_reads_how_they_are_tried_again(broken, failed, said):
    sources = [SimpleNamespace(reason=f"file {number}") for number in range(broken)]
    plan = SimpleNamespace(catalog=SimpleNamespace(broken=sources))
    survey = SimpleNamespace(failures=tuple(f"block {number}" for number in range(failed)))
    maps = SimpleNamespace(cautions=("beware",))
    assert RunSummary(Path("run"), plan, survey, maps, {}).warnings() == [*said, "beware"]
