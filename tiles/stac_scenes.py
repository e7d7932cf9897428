"""An item of a catalogue as the source of a scene: its colours, mask, day, clouds, baseline."""

from collections.abc import Mapping
from typing import Any

from tiles.access import Access, holds_secret, is_url
from tiles.errors import SceneError
from tiles.headers import SceneSource
from tiles.presets import AssetNames, preset_of
from tiles.radiometry import MaskSource
from tiles.search import SearchSettings, day_of, ground_of

COLOURS = ("red", "green", "blue")
IMAGE_ASSETS = AssetNames(image=("visual", "image", "data"))  # common names of a single picture
# where catalogues write Sentinel-2's processing baseline: Earth Search and Planetary Computer,
# then the STAC processing extension as Copernicus Data Space uses it
BASELINE_FIELDS = ("s2:processing_baseline", "processing:version")
OFFSET_APPLIED_FIELD = "earthsearch:boa_offset_applied"


def source_of_item(item: Mapping[str, Any], search: SearchSettings, access: Access) -> SceneSource:
    """What an item says of its scene.

    Args:
        item: STAC item as a dictionary, its addresses absolute.
        search: names of assets, where the user gave them.
        access: how to get at addresses.

    Raises:
        SceneError: an asset is missing, or nothing says which assets are the colours.
    """
    collection = str(item.get("collection") or "")
    names = search.assets or preset_of(collection) or _by_common_name(item) or IMAGE_ASSETS
    properties = item.get("properties") or {}
    hrefs = tuple(_href(item, wanted, search, access) for wanted in _colours(names))
    mask = None
    if names.mask and names.mask_kind:
        mask = MaskSource(href=_href(item, names.mask, search, access), kind=names.mask_kind)
    cloud = properties.get("eo:cloud_cover")
    platform = properties.get("platform")
    baseline = next((properties[key] for key in BASELINE_FIELDS if key in properties), None)
    return SceneSource(
        scene_id=str(item["id"]),
        files=hrefs,
        name=f"item {item['id']} ({hrefs[0]})",
        text=f"{properties.get('s2:product_uri', '')} {item['id']}",
        mask=mask,
        date=day_of(item),
        platform=str(platform).lower() if platform else None,
        cloud_percent=float(cloud) if cloud is not None else None,
        collection=collection,
        baseline=str(baseline) if baseline is not None else None,
        offset_applied=properties.get(OFFSET_APPLIED_FIELD),
        ground=ground_of(item),
        access=access if any(map(is_url, hrefs)) else None,
    )


def _colours(names: AssetNames) -> list[tuple[str, ...]]:
    return [names.image] if names.image else [names.red, names.green, names.blue]


def _by_common_name(item: Mapping[str, Any]) -> AssetNames | None:
    """The colours by the common names of the STAC extension for electro-optical imagery."""
    found: dict[str, tuple[str, ...]] = {}
    for key, asset in item["assets"].items():
        bands = asset.get("bands") or asset.get("eo:bands") or []
        if len(bands) != 1:
            continue
        common = bands[0].get("eo:common_name") or bands[0].get("common_name")
        if common in COLOURS:
            found.setdefault(common, (key,))
    return AssetNames.model_validate(found) if len(found) == len(COLOURS) else None


def _href(
    item: Mapping[str, Any], names: tuple[str, ...], search: SearchSettings, access: Access
) -> str:
    assets = item["assets"]
    asset = next((assets[name] for name in names if name in assets), None)
    if asset is None:
        raise SceneError(
            f"item {item['id']} has no asset {' or '.join(names)} (it has "
            f"{', '.join(sorted(assets)) or 'none'}): name its assets in [search] assets."
        )
    other = (asset.get("alternate") or {}).get(search.alternate or "")
    href = access.web_address(str((other or asset)["href"]))
    if holds_secret(href):
        raise SceneError(
            f"item {item['id']} carries a signature in an address, which would be written down: "
            "list items unsigned, and let [access] signing sign them."
        )
    if "://" in href and not is_url(href):
        raise SceneError(
            f"item {item['id']} lies at {href}, which is not asked: http, https and s3 are; choose "
            "another address with [search] alternate."
        )
    return href
