"""Two seasons of one made-up belt: kilns built and torn down between them, and other clouds."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from pyproj import Transformer

from tiles.simulation.dress import dress_kiln
from tiles.simulation.plan import PLAIN, SUN_RAD, BeltPlan, plan_belt
from tiles.simulation.scenes import SceneSpec, ground_crs, scene_specs, write_scene
from tiles.simulation.settings import BeltSettings, stream


@dataclass(frozen=True)
class TwoSeasons:
    """Scenes of two seasons, and every kiln: lon, lat, there and shown in either."""

    before: Path
    after: Path
    kilns: pd.DataFrame


def write_two_seasons(folder: Path, settings: BeltSettings, changing: float = 0.2) -> TwoSeasons:
    """Write both scenes; half of the changing share of kilns is built, half torn down."""
    plan = plan_belt(settings)
    fate = np.random.default_rng([settings.seed, 7]).random(len(plan.kilns))
    there_before, there_after = fate >= changing / 2, fate < 1 - changing / 2
    first, other = scene_specs(settings)
    clouds = scene_specs(settings.model_copy(update={"seed": settings.seed + 1}))[0].sky
    # season, haze, sun and stretch of the belt's other scene, clouds of another belt's
    second = replace(
        first,
        taken="2027:02:20 05:30:00",
        date_number=other.date_number,
        sky=clouds,
        radiometry=other.radiometry,
    )
    folder.mkdir(parents=True, exist_ok=True)
    before, after = folder / "before.tif", folder / "after.tif"
    write_scene(_with_kilns(plan, there_before), first, before)
    write_scene(_with_kilns(plan, there_after), second, after)
    return TwoSeasons(before, after, _truth(plan, (first, second), there_before, there_after))


def _with_kilns(plan: BeltPlan, there: np.ndarray) -> BeltPlan:
    """The plan with some of its kilns; all else stays as it is."""
    rng = stream(plan.settings, "kiln looks")
    dressed = [dress_kiln(kiln, PLAIN, SUN_RAD, rng) for kiln in plan.kilns]
    of_kilns = sum(len(slabs) + 1 for slabs, _ in dressed)
    kept = [parts for parts, stays in zip(dressed, there, strict=True) if stays]
    grounds = [slab for slabs, _ in kept for slab in slabs]
    bodies = [body for _, body in kept]
    return replace(plan, things=(*plan.things[:-of_kilns], *grounds, *bodies))


def _truth(
    plan: BeltPlan,
    specs: tuple[SceneSpec, SceneSpec],
    there_before: np.ndarray,
    there_after: np.ndarray,
) -> pd.DataFrame:
    points = np.array([(kiln.x_m, kiln.y_m) for kiln in plan.kilns])
    to_lonlat = Transformer.from_crs(ground_crs(plan.settings), 4326, always_xy=True)
    lon, lat = to_lonlat.transform(points[:, 0], points[:, 1])
    return pd.DataFrame(
        {
            "lon": lon,
            "lat": lat,
            "there_before": there_before,
            "there_after": there_after,
            "shown_before": specs[0].shows(points),
            "shown_after": specs[1].shows(points),
        }
    )
