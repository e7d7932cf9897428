"""Which scenes are of the months in which the sites sought can be seen at work."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from tiles.scene import Scene


@dataclass(frozen=True)
class SeasonSplit:
    """Scenes by season, each in the order given; scenes without a date count as within."""

    within: tuple[Scene, ...]
    outside: tuple[Scene, ...]


def split_by_season(scenes: Sequence[Scene], months: Collection[int]) -> SeasonSplit:
    """Part scenes by the month of their date.

    Args:
        scenes: of any sensor.
        months: 1 to 12, those in which the sites are at work.
    """
    idle = [bool(scene.date) and int(str(scene.date)[5:7]) not in months for scene in scenes]
    parted = list(zip(scenes, idle, strict=True))
    return SeasonSplit(
        tuple(scene for scene, out in parted if not out),
        tuple(scene for scene, out in parted if out),
    )
