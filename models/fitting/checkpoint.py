"""A training half done, on disk: all that the rest of it depends on, so a kill costs little."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from models.chips import PixelPoints
from tiles.errors import DatasetError
from tiles.files import atomic_path

Mistakes = dict[tuple[int, int], PixelPoints]


def save_checkpoint(path: Path, config_sha256: str, state: dict[str, Any]) -> None:
    """Write a training's state, whole or not at all.

    Args:
        path: Working file; removed when the training is done.
        config_sha256: Of the configuration that the state belongs to.
        state: Numbers, texts, tensors, and lists and dicts of them.
    """
    with atomic_path(path) as temporary:
        torch.save({"config_sha256": config_sha256, "state": state}, temporary)


def load_checkpoint(path: Path, config_sha256: str) -> dict[str, Any] | None:
    """The state of a training half done; None where there is none.

    Raises:
        DatasetError: The file is damaged or of another configuration.
    """
    if not path.is_file():
        return None
    damaged = f"{path} is no training half done that can be read: remove it to start again."
    if not zipfile.is_zipfile(path):  # what torch writes; its directory stands at the end
        raise DatasetError(damaged)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        config, state = content["config_sha256"], content["state"]
    except (RuntimeError, KeyError, TypeError, pickle.UnpicklingError) as error:
        raise DatasetError(damaged) from error
    if config != config_sha256:
        raise DatasetError(
            f"{path} is a training half done of another configuration ({config[:12]}..., this is "
            f"{config_sha256[:12]}...): finish it as it began, or remove it."
        )
    return dict(state)


def pack_mistakes(mistakes: Mistakes) -> list[list[Any]]:
    """Positions of mistakes as plain lists and tensors."""
    return [
        [source, picture, torch.from_numpy(points.row), torch.from_numpy(points.col)]
        for (source, picture), points in mistakes.items()
    ]


def unpack_mistakes(packed: list[list[Any]]) -> Mistakes:
    """The inverse of `pack_mistakes`."""
    return {
        (source, picture): PixelPoints(
            np.array(row, dtype=np.float64), np.array(col, dtype=np.float64)
        )
        for source, picture, row, col in packed
    }
