import subprocess
import sys
import time

import pytest

from pipeline.cli import spread
from tests.made_up import kilnlight, noise, write_raster


def test_imagery_takes_several_values():
    typed = ["run", "x.toml", "--imagery", "a", "b", "--out", "d", "--imagery", "c", "--quiet"]
    one_each = ["--imagery", "a", "--imagery", "b", "--out", "d", "--imagery", "c"]
    assert spread(typed) == ["run", "x.toml", *one_each, "--quiet"]
    assert spread(["--help"]) == ["--help"]


def test_help_imports_nothing_heavy():
    heavy = ["torch", "distributed", "geopandas", "folium", "pandas", "rasterio", "opendp"]
    code = (
        "import sys\nsys.argv = ['kilnlight', '--help']\nfrom pipeline.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        f"assert not set(sys.modules) & set({heavy}), set(sys.modules) & set({heavy})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "labour conditions are not assessed" in done.stdout


def test_help_answers_quickly():
    fastest = min(_seconds_of_help() for _ in range(3))
    assert fastest < 1.0  # the aim is 0.5 s; twice that still catches a heavy import


def _seconds_of_help():
    started = time.perf_counter()
    assert kilnlight("--help")[0] == 0
    return time.perf_counter() - started


@pytest.fixture
def image(tmp_path):
    return write_raster(tmp_path / "image.tif", noise(64, 64))


def refused(tmp_path, *arguments):
    """Run `kilnlight run`, which must refuse; return its one sentence."""
    code, said = kilnlight("run", *arguments, "--out", tmp_path / "out", "--quiet")
    assert code == 2, said
    assert said.startswith("kilnlight: ")
    assert said.count("\n") == 1
    assert "Traceback" not in said
    assert not (tmp_path / "out").exists()
    return said


def test_bad_imagery_is_one_sentence_and_leaves_nothing(tmp_path, image):
    (tmp_path / "text.tif").write_text("no raster")
    said = refused(tmp_path, "--imagery", tmp_path / "text.tif")
    assert "text.tif is no raster that can be opened" in said
    grey = write_raster(tmp_path / "grey.tif", noise(64, 64)[:1])
    assert "grey.tif has 1 band(s)" in refused(tmp_path, "--imagery", grey)
    black = write_raster(tmp_path / "black.tif", noise(64, 64) * 0, nodata=0)
    assert "every pixel is nodata" in refused(tmp_path, "--imagery", black)
    assert "names no image" in refused(tmp_path, "--imagery", tmp_path / "nowhere.tif")
    assert "imagery: field required" in refused(tmp_path)


def test_bad_regions_settings_and_weights_are_one_sentence(tmp_path, image):
    (tmp_path / "far.geojson").write_text(
        '{"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 0]]]}'
    )
    run = ("--imagery", image)
    assert "do not overlap" in refused(tmp_path, *run, "--region", tmp_path / "far.geojson")
    assert "is not there" in refused(tmp_path, *run, "--region", tmp_path / "none.geojson")
    assert "write three band numbers" in refused(tmp_path, *run, "--bands", "r,g,b")
    assert "text.tif" in refused(tmp_path, *run, "--weights", tmp_path / "text.tif")
    assert "no site class" in refused(tmp_path, *run, "--site-class", "casino")
    none = tmp_path / "none.parquet"
    assert "none.parquet is not there" in refused(tmp_path, *run, "--partition", none)
    assert "belongs to a partition" in refused(tmp_path, *run, "--noised-counts", none)
    assert "bands.0: input should be greater than 0" in refused(tmp_path, *run, "--bands", "0,1,2")
