"""By what a run folder knows its survey again, and a journal its tasks."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import shapely

from models.weights import LoadedWeights
from pipeline.engine.journal import Journal, PlannedTask
from pipeline.survey import SurveyPlan
from tiles.blocks import plan_blocks
from tiles.composite import Composite
from tiles.files import sha256_file
from tiles.scene import Scene

HASHING_THREADS = 4  # SHA-256 runs outside Python's lock; more only make disks seek
KEY_DIGITS = 32  # 128 bits: no two tasks of any survey share one by chance
# What the tables depend on beside each task: these decide which tasks there are, not what they give
NOT_IN_KEYS = ("imagery", "left_out", "region", "out_of_season")


def survey_identity(
    plan: SurveyPlan, weights: LoadedWeights, journal: Journal | None
) -> dict[str, Any]:
    """Everything that the survey's tables depend on, and nothing else.

    Scenes count by name and content, so that imagery may be moved; the region by its shape. The
    region's name and the period can be changed afterwards: only the maps are made again. How the
    work is cut and spread is left out, as it changes no byte.

    Args:
        plan: what will be looked at.
        weights: the detector's.
        journal: remembers the digests of files; None reads them all.
    """
    contents = _Contents(journal)
    contents.read(plan.catalog.scenes)
    return {
        "imagery": [_described(scene, contents) for scene in plan.catalog.scenes],
        "out_of_season": [scene.scene_id for scene in plan.out_of_season],
        "left_out": [source.path.name for source in plan.catalog.broken],
        "region": {"wkb": shapely.to_wkb(plan.region.polygon, hex=True)},
        "site_class": plan.site_class.model_dump(mode="json"),
        "weights": {
            "name": weights.card.name,
            "version": weights.card.version,
            "sha256": weights.sha256,
            "licence": weights.card.licence,
        },
        "gate": plan.detector.gate_sha256,
        "elsewhere": plan.detector.elsewhere,
        "device": plan.detector.device,
        "precision": plan.detector.precision,
        "kilnlight": version("kilnlight"),
    }


def _described(scene: Scene, contents: "_Contents") -> dict[str, Any]:
    """What a scene's detections depend on, but for where its files lie."""
    described: dict[str, Any] = {
        "scene_id": scene.scene_id,
        "bands": scene.bands.indexes,
        "date": scene.date,
        "sha256": contents.of(scene),
    }
    if scene.radiometry is not None:
        # as a manifest gives it back: JSON has no tuples, and what differs from it is another run
        described["radiometry"] = json.loads(json.dumps(asdict(scene.radiometry)))
    if isinstance(scene, Composite):
        described["method"] = scene.method
        described["members"] = [_described(member, contents) for member in scene.members]
    if scene.better:
        described["better"] = [_described(other, contents) for other in scene.better]
    return described


class _Contents:
    """Digests of what scenes hold; each file is read once, and not again while it is unchanged."""

    def __init__(self, journal: Journal | None) -> None:
        self.journal = journal
        self._files: dict[int, tuple[Path, ...]] = {}  # by the scene's id(): scenes hold no hash
        self._known: dict[Path, str] = {}

    def read(self, scenes: Iterable[Scene]) -> None:
        """Read what is not known yet, several files at once."""
        for scene in scenes:
            for one in _all_of(scene):
                self._files[id(one)] = () if isinstance(one, Composite) else one.local_files()
        flat = sorted({file for files in self._files.values() for file in files})
        for file in flat:
            if self.journal and (known := self.journal.known_sha256(file)):
                self._known[file] = known
        unread = [file for file in flat if file not in self._known]
        with ThreadPoolExecutor(HASHING_THREADS) as pool:
            for file, digest in zip(unread, pool.map(sha256_file, unread), strict=True):
                self._known[file] = digest
                if self.journal:
                    self.journal.note_sha256(file, digest)

    def of(self, scene: Scene) -> list[str]:
        """A scene's fingerprint, where it is remote, and the digests of its local files."""
        here = sorted(self._known[file] for file in self._files[id(scene)])
        return [scene.fingerprint, *here] if scene.fingerprint else here


def _all_of(scene: Scene) -> Iterator[Scene]:
    """A scene, what it is made of, and what goes before it."""
    yield scene
    members = scene.members if isinstance(scene, Composite) else ()
    for other in (*members, *scene.better):
        yield from _all_of(other)


def plan_tasks(plan: SurveyPlan, identity: Mapping[str, Any]) -> Iterator[PlannedTask]:
    """Yield the tasks of a survey, scene by scene, in the order of the files."""
    common = {key: value for key, value in identity.items() if key not in NOT_IN_KEYS}
    for number, scene in enumerate(plan.catalog.scenes):
        start = hashlib.sha256(_canonical([common, identity["imagery"][number]]))
        blocks = plan_blocks(scene, plan.detector.halo_px, plan.region.polygon, plan.block_px)
        for block in blocks:
            digest = start.copy()
            digest.update(_canonical([block.row, block.col, block.rows, block.cols, block.halo]))
            yield PlannedTask(digest.hexdigest()[:KEY_DIGITS], number, block)


def _canonical(value: object) -> bytes:
    return json.dumps(value, sort_keys=True).encode()
