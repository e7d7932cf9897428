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
    own = file.site_class
    named = dataset.parent / own if own.endswith(".toml") else own
    if asked is None:
        return load_site_class(named)
    chosen = load_site_class(asked)
    if dataset.suffix == ".toml" and chosen.name != load_site_class(named).name:
        raise DatasetError(
            f"{dataset} holds labels of the class {load_site_class(named).name!r}, not "
            f"{chosen.name!r}: change `site_class` in it, or --class."
        )
    return chosen
