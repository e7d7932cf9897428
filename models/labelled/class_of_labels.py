"""The class of a dataset's labels: what its file says, or what the owner of a folder does."""

from __future__ import annotations

from pathlib import Path

from models.labelled.dataset_file import DatasetFile
from models.site_class import SiteClass, load_site_class
from tiles.errors import DatasetError


def class_of_labels(file: DatasetFile, dataset: Path, asked: str | None = None) -> SiteClass:
    """The class of a dataset's labels.

    Args:
        file: What the dataset holds.
        dataset: Where it lies; the path of a class in a dataset file starts from the file's folder.
        asked: Name of a class, or its file: of a folder or COCO file, which name none themselves.

    Raises:
        ConfigError: There is no such class.
        DatasetError: A dataset file names another class.
    """
    if asked is None:
        return named_class(file.site_class, dataset)
    chosen = load_site_class(asked)
    if dataset.suffix == ".toml":
        own = named_class(file.site_class, dataset)
        if chosen.name != own.name:
            raise DatasetError(
                f"{dataset} holds labels of the class {own.name!r}, not {chosen.name!r}: change "
                "`site_class` in it, or --class."
            )
    return chosen


def named_class(name: str, dataset: Path) -> SiteClass:
    """The class that a dataset file names; the path of a file of its own starts from the dataset.

    Raises:
        ConfigError: There is no such class.
    """
    return load_site_class(dataset.parent / name if name.endswith(".toml") else name)
