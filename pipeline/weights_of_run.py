"""The weights that a finished run used, found again by its run file and known by their digest."""

from pathlib import Path

from models.site_class import load_site_class
from models.weights import WeightsCard, load_weights
from pipeline.config import RunSettings, read_run_file
from pipeline.plan import weights_of
from pipeline.run_folder import RUN_FILE, RunFolder
from tiles.errors import RunFolderError, WeightsError


def card_of_run(run_folder: Path) -> WeightsCard:
    """Return the card of the weights of a run.

    Raises:
        RunFolderError: the folder holds no finished run.
        WeightsError: the weights are gone, or others lie in their place.
    """
    manifest = RunFolder(run_folder).manifest() if run_folder.is_dir() else None
    file = run_folder / RUN_FILE
    if manifest is None or not file.is_file():
        raise RunFolderError(f"{run_folder} holds no run: give the folder of `kilnlight run`.")
    settings = RunSettings.of(read_run_file(file), str(file))
    path = settings.weights or weights_of(load_site_class(settings.site_class))
    weights = load_weights(path)
    if weights.sha256 != manifest["survey"]["weights"]["sha256"]:
        raise WeightsError(
            f"{path} are not the weights that {run_folder} was made with: put those back "
            f"({manifest['survey']['weights']['name']} "
            f"{manifest['survey']['weights']['version']}), or run it again."
        )
    return weights.card
