"""The whole scene of Delhi: block sizes, orders and numbers of workers leave the same bytes."""

import time
from pathlib import Path

import numpy as np
import pytest

from pipeline.engine.journal import Journal
from tests.pipeline.engine_runs import engine, settings_for, survey, table_bytes

DELHI = Path("../shared/data/delhi_s2/scene.tif")
CUTS = {
    "blocks of 512 px": {"engine": engine(block_px=512)},
    "blocks of 1,024 px": {"engine": engine(block_px=1024)},
    "blocks of 4,096 px": {"engine": engine(block_px=4096)},
    "2 workers": {"workers": 2},
    "4 workers, shuffled": {"workers": 4},
}


@pytest.mark.skipif(not DELHI.exists(), reason=f"{DELHI} is not on this machine")
def test_the_scene_of_delhi_is_the_same_however_it_is_cut(tmp_path, monkeypatch):
    def surveyed(name, **changes):
        started = time.perf_counter()
        settings = settings_for(
            DELHI, tmp_path / name, **{"precision": "auto", "workers": 1, **changes}
        )
        made = survey(settings)
        print(f"  {name}: {len(made.detections)} found, {time.perf_counter() - started:.0f} s")
        return table_bytes(settings.out)

    print()
    whole = surveyed("blocks of 2,048 px, 1 worker")
    pending, rng = Journal.pending, np.random.default_rng(3)
    for name, changes in CUTS.items():
        if "shuffled" in name:
            monkeypatch.setattr(
                Journal, "pending", lambda self: iter(rng.permutation(list(pending(self))))
            )
        assert surveyed(name, **changes) == whole, name
