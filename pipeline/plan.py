"""What a survey will look at, opened and checked before any work."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import shapely

from models.gate.card import choose_gate
from models.site_class import SiteClass, load_site_class
from models.weights import (
    LoadedWeights,
    WeightsCard,
    check_bands,
    default_weights,
    load_weights,
    nearest_place,
)
from pipeline.config import RunSettings
from pipeline.engine import nursery
from pipeline.engine.cluster import on_one_worker
from pipeline.engine.search import DetectorSpec
from pipeline.pixels import choose_scenes
from pipeline.survey import SurveyPlan
from tiles.catalog import Catalog, find_scenes
from tiles.composite import METHODS, dates_of
from tiles.errors import RegionError, SceneError, WeightsError
from tiles.files import sha256_file
from tiles.region import UNDATED, Region, read_region, region_of
from tiles.scene import GsdLimits, Scene

NETWORK_BANDS = ("red", "green", "blue")  # what tiles.read gives, in its order


def plan_survey(
    settings: RunSettings, recorded: Mapping[str, str] | None = None
) -> tuple[SurveyPlan, LoadedWeights]:
    """Open everything that a survey needs, so that what is wrong is said before the work starts.

    Args:
        settings: what is to be done.
        recorded: device and precision of the survey that the run folder holds, if it does.

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
    named = read_region(settings.region, settings.name) if settings.region else None
    query, sensor = settings.query(named), settings.pixels.profile
    catalog = find_scenes(settings.imagery, limits, settings.band_numbers, query, sensor)
    if settings.strict and catalog.broken:
        raise SceneError(catalog.broken[0].reason)
    region = _region(settings, named, catalog)
    chosen = choose_scenes(
        catalog.scenes, settings.pixels, site_class, settings.country, region.polygon
    )
    return SurveyPlan(
        catalog=replace(catalog, scenes=chosen.scenes),
        region=region,
        period=settings.period or period_of(chosen.scenes),
        site_class=site_class,
        detector=replace(
            _detector_spec(settings, path, weights, recorded or {}),
            elsewhere=lies_elsewhere(weights.card, region),
        ),
        block_px=settings.engine.side_px(settings.pixels.composite in METHODS),
        country=settings.country,
        out_of_season=chosen.out_of_season,
    ), weights


def lies_elsewhere(card: WeightsCard, region: Region) -> bool:
    """Whether a region is far from all places that the weights were trained on."""
    middle = region.polygon.centroid
    nearest = nearest_place(card, middle.x, middle.y)
    return nearest is not None and nearest.is_far


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


def _region(settings: RunSettings, named: Region | None, catalog: Catalog) -> Region:
    footprints = [scene.footprint for scene in catalog.scenes]
    if named is None:
        footprints += [source.footprint for source in catalog.broken if source.footprint]
        return region_of(settings.name or "ground of the imagery", footprints)
    if not named.polygon.intersects(shapely.union_all(footprints)):
        raise RegionError(
            f"region file {settings.region} and the imagery do not overlap: check both coordinates."
        )
    return named


def period_of(scenes: Sequence[Scene]) -> str:
    """The months from the first to the last scene's date, or `undated`."""
    months = sorted(day[:7] for scene in scenes for day in dates_of(scene))
    return f"{months[0]}/{months[-1]}" if months else UNDATED


def _detector_spec(
    settings: RunSettings, path: Path, weights: LoadedWeights, recorded: Mapping[str, str]
) -> DetectorSpec:
    """The detector, with what is still to be found out: where it runs, and in which precision.

    That is decided once a survey, and stays: on another machine `auto` could mean another thing.
    """
    wanted = {
        name: recorded.get(name, "auto") if value == "auto" else value
        for name, value in (("device", settings.device), ("precision", settings.precision))
    }
    if settings.scheduler is None or "auto" not in wanted.values():
        known = wanted if wanted == dict(recorded) else nursery.ask(resolve_here, *wanted.values())
    else:
        known = on_one_worker(settings, resolve_here, wanted["device"], wanted["precision"])
    gate = choose_gate(settings.gate, weights.card, weights.sha256)
    return DetectorSpec(
        path.absolute(),
        weights.sha256,
        known["device"],
        known["precision"],
        weights.card.halo_px,
        gate,
        sha256_file(gate) if gate else "",
    )


def resolve_here(device: str, precision: str) -> dict[str, str]:
    """Device and precision that this machine would take.

    Raises:
        ConfigError: it has no such device, or there is no such precision.
    """
    from models.detector import resolve_device, resolve_precision

    chosen = resolve_device(device)
    return {"device": chosen, "precision": resolve_precision(precision, chosen)}
