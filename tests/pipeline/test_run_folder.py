import json
import os
import subprocess

import pytest

from pipeline.engine.journal import PlannedTask
from pipeline.engine.results import Counts, PackedResult
from pipeline.run_folder import RunFolder
from tiles.blocks import Block
from tiles.errors import RunFolderError
from tiles.ground import NO_CELLS

TASK = PlannedTask("key", 0, Block(0, 0, 32, 32, 8))

SURVEY = {"imagery": [{"scene_id": "s", "sha256": ["0"]}], "precision": "fp32"}


@pytest.fixture
def finished(tmp_path):
    folder = RunFolder.open(tmp_path / "run")
    (folder.path / "detections.parquet").write_text("a")
    (folder.path / "coverage.parquet").write_text("c")
    (folder.path / "ground.parquet").write_text("g")
    folder.write_manifest(SURVEY, {"result": {"blocks": 3}})
    return folder


def test_a_finished_survey_is_known_again(finished):
    again = RunFolder.open(finished.path)
    assert again.holds(SURVEY)
    assert again.result() == {"blocks": 3}
    manifest = json.loads((finished.path / "manifest.json").read_text())
    assert manifest["files"]["detections.parquet"].startswith("ca978112ca1b")  # SHA-256 of "a"
    assert manifest["versions"]["kilnlight"]
    assert manifest["gdal_settings"].keys() == {"GDAL_NUM_THREADS", "GDAL_CACHEMAX"}


def test_the_folder_is_the_operators_alone(finished):
    assert finished.path.stat().st_mode & 0o777 == 0o700


def test_another_survey_or_a_changed_table_is_refused(finished):
    other = {**SURVEY, "precision": "bf16"}
    with pytest.raises(RunFolderError, match=r'another run \(precision: was "fp32", now "bf16"\)'):
        finished.belongs_to(other)
    finished.belongs_to(other, refresh=True)
    finished.belongs_to(SURVEY)
    assert not finished.holds(other)
    (finished.path / "detections.parquet").write_text("b")
    with pytest.raises(RunFolderError, match="missing or changed"):
        finished.holds(SURVEY)
    (finished.path / "manifest.json").write_text("{")
    with pytest.raises(RunFolderError, match="is damaged"):
        finished.holds(SURVEY)


def test_folders_with_other_files_are_left_alone(tmp_path):
    (tmp_path / "thesis.doc").write_text("x")
    before = tmp_path.stat().st_mode & 0o777
    with pytest.raises(RunFolderError, match="holds other files"):
        RunFolder.open(tmp_path)
    with pytest.raises(RunFolderError, match="is a file"):
        RunFolder.open(tmp_path / "thesis.doc")
    with pytest.raises(RunFolderError, match="cannot be written"):
        RunFolder.open(tmp_path / "thesis.doc" / "run")
    assert tmp_path.stat().st_mode & 0o777 == before, "not even its mode is touched"
    (tmp_path / "manifest.json").write_text("[]")
    with pytest.raises(RunFolderError, match="another program's"):
        RunFolder.open(tmp_path)


def test_a_survey_that_never_got_anywhere_leaves_nothing(tmp_path):
    folder = RunFolder.open(tmp_path / "run")

    def half_a_survey():
        with folder.session():
            folder.claim(SURVEY)
            (folder.path / "detections.parquet").write_text("half")
            raise KeyError

    with pytest.raises(KeyError):
        half_a_survey()
    assert not (tmp_path / "run").exists()
    folder = RunFolder.open(tmp_path / "run")
    (tmp_path / "run" / "notes.txt").write_text("the user's own")
    with pytest.raises(KeyError):
        half_a_survey()
    assert [file.name for file in (tmp_path / "run").iterdir()] == ["notes.txt"]


def test_one_result_is_enough_to_keep_the_folder(tmp_path):
    folder = RunFolder.open(tmp_path / "run")

    def part_of_a_survey():
        with folder.session() as journal:
            folder.claim(SURVEY)
            journal.plan([TASK])
            journal.add(TASK.key, PackedResult(b"", b"", NO_CELLS, Counts()))
            raise KeyError

    with pytest.raises(KeyError):
        part_of_a_survey()
    again = RunFolder.open(tmp_path / "run")
    with again.looked_into() as journal:
        assert journal.done_keys() == {TASK.key}
    assert not again.holds(SURVEY)
    assert again.settled() == {"precision": "fp32"}


def test_a_finished_folder_survives_a_failure(finished):
    def fail():
        with finished.session():
            raise KeyError

    before = sorted(finished.path.iterdir())
    with pytest.raises(KeyError):
        fail()
    assert finished.holds(SURVEY)
    assert {*before} <= {*finished.path.iterdir()}


def test_what_a_run_did_not_make_is_not_in_the_manifest(finished):
    (finished.path / "packs").mkdir()
    (finished.path / "packs" / "team.zip").write_text("x")
    (finished.path / "outcomes.csv").write_text("x")
    with finished.session():
        finished.write_manifest(SURVEY, {"result": {}})
    files = json.loads((finished.path / "manifest.json").read_text())["files"]
    assert set(files) == {"detections.parquet", "coverage.parquet", "ground.parquet"}


def test_a_survey_that_was_killed_may_start_again_but_no_other(tmp_path):
    folder = RunFolder.open(tmp_path / "run")
    manifest = folder.path / "manifest.json"
    manifest.write_text(json.dumps({"survey": SURVEY, "files": {}}))  # what a kill -9 leaves
    again = RunFolder.open(tmp_path / "run")
    assert not again.holds(SURVEY)
    again.belongs_to(SURVEY)
    with pytest.raises(RunFolderError, match="another run"):
        again.belongs_to({**SURVEY, "precision": "bf16"})


def test_a_run_that_was_killed_before_its_manifest_may_start_again(tmp_path):
    """The journal is there while imagery is read for its digests: minutes, of a whole country."""
    folder = RunFolder.open(tmp_path / "run")
    with folder.session():
        left = {file.name: file.read_bytes() for file in folder.path.iterdir()}
    for name in [*left, ".writable", ".manifest.999999999.part.json"]:
        (folder.path / name).write_bytes(left.get(name, b""))
    (folder.path / "manifest.json").unlink(missing_ok=True)
    again = RunFolder.open(folder.path)
    with again.session():
        again.claim(SURVEY)
    (folder.path / "manifest.json").unlink()
    (folder.path / "detections.parquet").write_text("x")
    with pytest.raises(RunFolderError, match="holds other files"):
        RunFolder.open(folder.path)


def test_what_a_killed_run_left_half_written_is_swept_away(finished):
    dead = subprocess.Popen(["true"])
    dead.wait()
    (finished.path / "restricted").mkdir()
    for name in (f".detections.{dead.pid}.part.parquet", f"restricted/.sites.{dead.pid}.part.csv"):
        (finished.path / name).write_text("half a table")
    for name in (f".public.{dead.pid}.part", f".public.{dead.pid}.old"):
        (finished.path / name).mkdir()
        (finished.path / name / f".index.{dead.pid}.part.html").write_text("half a page")
    others = finished.path / f".outcomes.{os.getppid()}.part.csv"
    others.write_text("of a command that is still writing")
    with finished.session():
        assert [*finished.path.rglob(".*")] == [others]


def test_two_runs_do_not_share_a_folder(tmp_path):
    first, second = RunFolder.open(tmp_path / "run"), RunFolder.open(tmp_path / "run")

    def enter():
        with second.locked():
            pass

    with first.locked(), pytest.raises(RunFolderError, match="another run is at work"):
        enter()
    enter()
