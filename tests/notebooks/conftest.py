"""One small demo for all notebooks; not to be written into."""

import pytest

from pipeline.demo import run_demo
from pipeline.engine.progress import Screen


@pytest.fixture(scope="session")
def demo(tmp_path_factory):
    """A small demo's folder, and what the demo said at its end."""
    out = tmp_path_factory.mktemp("demo") / "demo"
    return out, run_demo(out, side_km=12, seed=7, screen=Screen(quiet=True))


@pytest.fixture(scope="session")
def folder(demo):
    return demo[0]
