"""What a survey will look at, and the identity by which a run folder knows it again."""

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import rasterio
import shapely

from models.site_class import SiteClass, load_site_class
from models.weights import (
    LoadedWeights,
    WeightsCard,
    check_bands,
    default_weights,
    load_weights,
)
from pipeline.config import RunSettings
from pipeline.survey import DetectorSpec, SurveyPlan
from tiles.blocks import CORE_PX
from tiles.catalog import Catalog, find_scenes
from tiles.errors import RegionError, SceneError, WeightsError
from tiles.files import sha256_file
from tiles.region import UNDATED, Region, read_region, region_of
from tiles.scene import GsdLimits, Scene

NETWORK_BANDS = ("red", "green", "blue")  # what tiles.read gives, in its order


def plan_survey(settings: RunSettings) -> tuple[SurveyPlan, LoadedWeights]:
    """Open everything that a survey needs, so that what is wrong is said before the work starts.

    Raises:
        KilnlightError: the site class, weights, imagery or region cannot be used.
    """
    site_class = load_site_class(settings.site_class)
    if settings.prevalence is not None:
        site_class = site_class.model_copy(update={"prevalence_per_1000km2": settings.prevalence})
    path = settings.weights or weights_of(site_class)
    weights = load_weights(path)
    check_class(weights.card, site_class, path)
    check_judged(weights.card, path)
    check_bands(weights.card, NETWORK_BANDS)
    limits = GsdLimits(site_class.gsd_m.low, site_class.gsd_m.high)
    catalog = find_scenes(settings.imagery, limits, settings.band_numbers)
    if settings.strict and catalog.broken:
        raise SceneError(catalog.broken[0].reason)
    return SurveyPlan(
        catalog=catalog,
        region=_region(settings, catalog),
        period=settings.period or period_of(catalog.scenes),
        site_class=site_class,
        detector=_detector_spec(settings, path, weights),
        country=settings.country,
    ), weights


def weights_of(site_class: SiteClass) -> Path:
    """The weights that a class names; those of its own name where it names none.

    Raises:
        WeightsError: none come with the program under that name.
    """
    named = site_class.weights or site_class.name
    return Path(named) if named.endswith(".safetensors") else default_weights(named)


def check_class(card: WeightsCard, site_class: SiteClass, path: Path) -> None:
    """Refuse weights that were made for another class, or for pixels it cannot be seen in.

    Raises:
        WeightsError: they were.
    """
    if card.site_class != site_class.name:
        raise WeightsError(
            f"{path} finds {card.site_class}, not {site_class.name}: "
            "give other --weights or another --site-class."
        )
    if not site_class.gsd_m.contains(card.gsd_m):
        raise WeightsError(
            f"{path} works at {card.gsd_m:g} m, and the class {site_class.name} is seen at "
            f"{site_class.gsd_m.low:g} to {site_class.gsd_m.high:g} m: give other --weights, or "
            "correct gsd_m in the class."
        )


def check_judged(card: WeightsCard, path: Path) -> None:
    """Refuse weights of which nobody knows how much they find: no expected number would hold.

    Raises:
        WeightsError: they were trained without places held out to judge them by.
    """
    if card.recall.mean <= 0:
        raise WeightsError(
            f"{path} do not say how much they find: nothing was held out as `validate` when they "
            "were trained, and no `out_of_fold` scores were given; name either in the dataset "
            "file, and train again."
        )


def _region(settings: RunSettings, catalog: Catalog) -> Region:
    footprints = [scene.footprint for scene in catalog.scenes]
    if settings.region is None:
        footprints += [source.footprint for source in catalog.broken if source.footprint]
        return region_of(settings.name or "ground of the imagery", footprints)
    region = read_region(settings.region, settings.name)
    if not region.polygon.intersects(shapely.union_all(footprints)):
        raise RegionError(
            f"region file {settings.region} and the imagery do not overlap: check both coordinates."
        )
    return region


def _content(scene: Scene) -> list[str]:
    """SHA-256 of the file and of every file it refers to (a VRT's sources, masks beside it)."""
    with rasterio.open(scene.path) as dataset:
        return [sha256_file(Path(file)) for file in sorted(dataset.files) if Path(file).is_file()]


def period_of(scenes: Sequence[Scene]) -> str:
    """The months from the first to the last scene's date, or `undated`."""
    months = sorted(scene.date[:7] for scene in scenes if scene.date)
    return f"{months[0]}/{months[-1]}" if months else UNDATED


def _detector_spec(settings: RunSettings, path: Path, weights: LoadedWeights) -> DetectorSpec:
    from models.detector import resolve_device, resolve_precision

    device = resolve_device(settings.device)
    precision = resolve_precision(settings.precision, device)
    return DetectorSpec(path.absolute(), weights.sha256, device, precision, weights.card.halo_px)


def survey_identity(plan: SurveyPlan, weights: LoadedWeights) -> dict[str, Any]:
    """Everything that the survey's tables depend on, and nothing else.

    Scenes count by name and content, so that imagery may be moved; the region by its shape. The
    region's name and the period can be changed afterwards: only the maps are made again.
    """
    scenes = plan.catalog.scenes
    return {
        "imagery": [
            {"scene_id": s.scene_id, "bands": s.bands.indexes, "sha256": _content(s)}
            for s in scenes
        ],
        "left_out": [source.path.name for source in plan.catalog.broken],
        "region": {"wkb": shapely.to_wkb(plan.region.polygon, hex=True)},
        "site_class": plan.site_class.model_dump(mode="json"),
        "weights": {
            "name": weights.card.name,
            "version": weights.card.version,
            "sha256": weights.sha256,
            "licence": weights.card.licence,
        },
        "device": plan.detector.device,
        "precision": plan.detector.precision,
        "core_px": CORE_PX,
        "kilnlight": version("kilnlight"),
    }
