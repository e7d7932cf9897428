"""What a training is, resolved to the last setting, and its digest: written down before it runs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from models.fitting.augment import AugmentSettings
from models.fitting.loop import TrainingRecipe
from models.labelled.dataset import Dataset, Source
from tiles.errors import ConfigError
from tiles.files import write_text


def training_config(
    dataset: Dataset, recipe: TrainingRecipe, seed: int, start_sha256: str | None = None
) -> dict[str, Any]:
    """Everything that decides what weights come out: data, fold, recipe, network, seed, start."""
    started = {} if start_sha256 is None else {"start_sha256": start_sha256}
    return {
        **started,
        "kilnlight": version("kilnlight"),
        "dataset": dataset.file.model_dump(mode="json", by_alias=True),
        "fold": dataset.fold,
        "seed": seed,
        "recipe": recipe.model_dump(mode="json"),
        "augment": asdict(AugmentSettings()),
        "training_data_sha256": sources_sha256(dataset.train),
    }


def write_config(
    out: Path, config: Mapping[str, Any], seen: Mapping[str, Any], conditions: Mapping[str, Any]
) -> None:
    """Write `.config.json` beside weights that are about to be trained.

    Args:
        out: The weights.
        config: Everything that decides what comes out; its digest is written too.
        seen: What that amounts to, for people.
        conditions: Where it runs; none of it is meant to change what comes out.
    """
    here = {**conditions, "torch": torch.__version__}
    content = {"sha256": config_sha256(config), "config": config, **seen, "conditions": here}
    write_text(out.with_suffix(".config.json"), json.dumps(content, indent=1) + "\n")


def config_sha256(config: Mapping[str, Any]) -> str:
    """SHA-256 of a configuration as JSON with sorted keys."""
    return hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()


def sources_sha256(sources: Sequence[Source]) -> str:
    """SHA-256 of all pixels and labels that are trained on, in their order."""
    digest = hashlib.sha256()
    for source in sources:
        digest.update(f"\n{source.name} {source.share}".encode())
        for picture in source.pictures:
            sites, doubtful = picture.sites, picture.doubtful
            digest.update(f"\n{picture.name} {picture.pixels.shape}".encode())
            taught = () if picture.taught is None else (picture.taught,)
            for array in (picture.pixels, picture.usable, *taught, *vars(sites).values()):
                digest.update(np.ascontiguousarray(array).tobytes())
            for array in vars(doubtful).values():
                digest.update(array.tobytes())
    return digest.hexdigest()


def check_out(path: Path) -> None:
    """Refuse a path that weights cannot be written to, before anything is trained.

    Raises:
        ConfigError: It has another suffix, or is a folder.
    """
    if path.suffix != ".safetensors":
        raise ConfigError(f"Weights are written as .safetensors: call them so, not {path}.")
    if path.is_dir():
        raise ConfigError(f"{path} is a folder: name a file for the weights.")
