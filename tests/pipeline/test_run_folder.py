import json

import pytest

from pipeline.run_folder import RunFolder
from tiles.errors import RunFolderError

SURVEY = {"imagery": [{"scene_id": "s", "sha256": ["0"]}], "precision": "fp32"}


@pytest.fixture
def finished(tmp_path):
    folder = RunFolder.open(tmp_path / "run")
    (folder.path / "detections.parquet").write_text("a")
    (folder.path / "coverage.parquet").write_text("c")
    folder.write_manifest(SURVEY, {"result": {"blocks": 3}})
    return folder


def test_a_finished_survey_is_known_again(finished):
    again = RunFolder.open(finished.path)
    assert again.holds(SURVEY)
    assert again.result() == {"blocks": 3}
    manifest = json.loads((finished.path / "manifest.json").read_text())
    assert manifest["files"]["detections.parquet"].startswith("ca978112ca1b")  # SHA-256 of "a"
    assert manifest["versions"]["kilnlight"]


def test_the_folder_is_the_operators_alone(finished):
    assert finished.path.stat().st_mode & 0o777 == 0o700


def test_another_survey_or_a_changed_table_is_refused(finished):
    with pytest.raises(RunFolderError, match=r"another run \(its precision differs"):
        finished.holds({**SURVEY, "precision": "bf16"})
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


def test_a_survey_that_fails_leaves_nothing(tmp_path):
    folder = RunFolder.open(tmp_path / "run")

    def half_a_survey():
        with folder.claimed_for(SURVEY):
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


def test_a_survey_that_was_killed_may_start_again_but_no_other(tmp_path):
    folder = RunFolder.open(tmp_path / "run")
    manifest = folder.path / "manifest.json"
    manifest.write_text(json.dumps({"survey": SURVEY, "files": {}}))  # what a kill -9 leaves
    assert not RunFolder.open(tmp_path / "run").holds(SURVEY)
    with pytest.raises(RunFolderError, match="another run"):
        folder.holds({**SURVEY, "precision": "bf16"})


def test_two_runs_do_not_share_a_folder(tmp_path):
    first, second = RunFolder.open(tmp_path / "run"), RunFolder.open(tmp_path / "run")

    def enter():
        with second.locked():
            pass

    with first.locked(), pytest.raises(RunFolderError, match="another run is at work"):
        enter()
    enter()
