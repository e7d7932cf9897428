"""The scenes of a finished run, found again by its manifest and its run file."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from pipeline.config import RunSettings, read_run_file
from pipeline.run_folder import RUN_FILE, RunFolder
from tiles.catalog import find_scenes
from tiles.errors import RunFolderError, SceneError
from tiles.region import read_region
from tiles.scene import GsdLimits, Scene


def scenes_of_run(run_folder: Path, imagery: Sequence[str] = ()) -> tuple[Scene, ...]:
    """Open the scenes that a run surveyed, as far as their files are still there.

    Args:
        run_folder: what `kilnlight run` wrote.
        imagery: files, folders or globs where the imagery lies now, if it was moved.

    Returns:
        The run's scenes, by name; fewer, or none, where files are gone. What was not part of the
        run is left out.

    Raises:
        RunFolderError: the folder holds no finished run.
    """
    manifest = RunFolder(run_folder).manifest() if run_folder.is_dir() else None
    if manifest is None or not (run_folder / RUN_FILE).is_file():
        raise RunFolderError(f"{run_folder} holds no run: give the folder of `kilnlight run`.")
    settings = RunSettings.of(read_run_file(run_folder / RUN_FILE), str(run_folder / RUN_FILE))
    surveyed = {str(scene["scene_id"]) for scene in manifest["survey"]["imagery"]}
    gsd_m = manifest["survey"]["site_class"]["gsd_m"]
    limits = GsdLimits(float(gsd_m["low"]), float(gsd_m["high"]))
    query, sensor = settings.query(None), settings.pixels.profile
    if settings.region is not None and settings.region.is_file():
        query = settings.query(read_region(settings.region, settings.name))

    def find(sources: Sequence[str]) -> tuple[Scene, ...]:
        return find_scenes(sources, limits, settings.band_numbers, query, sensor).scenes

    sources = imagery or settings.imagery
    try:  # together, as the run did: scenes of one name are numbered
        found = find(sources)
    except SceneError:
        found = tuple(_one_by_one(sources, find))
    named = tuple(scene for scene in found if scene.scene_id in surveyed)
    return named or found  # a composite has another name than the scenes that it was made of


def _one_by_one(
    sources: Sequence[str], find: Callable[[Sequence[str]], tuple[Scene, ...]]
) -> Iterator[Scene]:
    """Scenes of the sources that are still there; places of the others have no picture."""
    for source in sources:
        with suppress(SceneError):
            yield from find([source])
