"""Client and workers must run the same, and one sentence says what differs."""

from dataclasses import replace

import pytest

from pipeline.engine.facts import PACKAGES_ROOT, check_same, code_digest, commit_of, facts_here
from pipeline.engine.search import DetectorSpec
from pipeline.engine.worker import LoadSearcher
from tiles.errors import ConfigError


def test_the_same_process_is_the_same():
    here = facts_here()
    check_same(here, replace(here), "worker w")
    assert here.code == code_digest()
    assert dict(here.versions)["kilnlight"]


def test_what_differs_is_named_on_both_sides():
    here = facts_here()
    versions = tuple((n, "0.1" if n == "torch" else v) for n, v in here.versions)
    there = replace(here, versions=versions, commit="abc")
    torch = dict(here.versions)["torch"]
    with pytest.raises(ConfigError) as said:
        check_same(here, there, "worker w at tcp://10.0.0.1:1")
    assert str(said.value) == (
        "worker w at tcp://10.0.0.1:1 does not run what this client runs "
        f"(commit {here.commit} here and abc there, torch {torch} here and 0.1 there), so results "
        "could differ: install the same version of Kilnlight and its requirements.txt on both."
    )


def test_a_commit_is_read_from_the_files_of_a_checkout(tmp_path):
    assert commit_of(tmp_path) == "no checkout"
    git = tmp_path / ".git"
    (git / "refs" / "heads").mkdir(parents=True)
    (git / "HEAD").write_text("ref: refs/heads/main\n")
    (git / "packed-refs").write_text("# pack\n" + "a" * 40 + " refs/heads/main\n")
    assert commit_of(tmp_path) == "a" * 12
    (git / "refs" / "heads" / "main").write_text("b" * 40 + "\n")
    assert commit_of(tmp_path) == "b" * 12
    (git / "HEAD").write_text("c" * 40 + "\n")
    assert commit_of(tmp_path) == "c" * 12
    assert PACKAGES_ROOT.joinpath("pipeline", "engine", "facts.py").is_file()


def test_clients_with_other_code_keep_detectors_of_their_own(tmp_path):
    spec = DetectorSpec(tmp_path / "w.safetensors", "a" * 64, "cpu", "fp32", 128)
    here = facts_here()
    other = replace(here, code="0" * 12)
    assert LoadSearcher(spec, here).name == LoadSearcher(spec, here).name
    assert LoadSearcher(spec, here).name != LoadSearcher(spec, other).name
