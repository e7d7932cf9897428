"""`kilnlight evaluate` on labelled chips, from the shell: both files, and what cannot be asked."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from models.labelled.chip_dataset import load_chips
from pipeline.cli import main
from tests.models.made_up_chips import write_dataset


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["kilnlight", "evaluate", *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    return int(end.value.code or 0)


def test_chips_are_judged_by_what_their_folds_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset, out = write_dataset(tmp_path), tmp_path / "judged"
    asked = [str(dataset), "--data", str(tmp_path), "--out", str(out)]
    assert run(monkeypatch, *asked) == 2
    assert "holds no .chips.csv" in capsys.readouterr().err
    assert not out.exists()
    chips = load_chips(dataset, tmp_path)
    (tmp_path / "pits").mkdir()
    for number, fold in enumerate(chips.fold_names):
        index = chips.scored_by(number)
        logit = np.where(chips.is_site[index], 1.0, -1.0) + 0.01 * index
        table = pd.DataFrame({"chip": index, "fold": fold, "seed": 0, "logit": logit})
        table.to_csv(tmp_path / "pits" / f"{fold}_0.chips.csv", index=False)
    assert run(monkeypatch, *asked) == 0
    said = capsys.readouterr().out
    assert "AUC, random land" in said
    assert f"Wrote {out / 'held_out.json'}, {out / 'held_out.html'}." in said
    assert sorted(p.name for p in out.iterdir()) == ["held_out.html", "held_out.json"]


@pytest.mark.parametrize(
    ("asked", "left_out"),
    [
        (["pits.toml", "--weights", "w.safetensors"], "--weights"),
        (["pits.toml", "--fold", "early", "--against", "w.safetensors"], "--against, --fold"),
        (["pits.toml", "--class", "gold_mine"], "--class"),
        (["pits.toml", "--bounds", "1,2,3,4"], "--bounds"),
        (["boxes.toml", "--out-of-fold", "--weights", "w.safetensors"], "--weights"),
        (["boxes.toml", "--out-of-fold", "--fold", "early"], "--fold"),
        (["boxes.toml", "--bounds", "1,2,3,4"], "--bounds"),
        (["known.csv", "--run", "run", "--weights", "w.safetensors"], "--weights"),
        (["known.csv", "--run", "run", "--out-of-fold"], "--out-of-fold"),
    ],
)
def test_options_that_would_change_nothing_are_refused(
    asked: list[str],
    left_out: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_dataset(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert run(monkeypatch, *asked) == 2
    said = capsys.readouterr().err
    assert said.startswith("kilnlight: ")
    assert said.endswith(f": leave out {left_out}.\n")
    assert said.count("\n") == 1
