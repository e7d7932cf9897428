import pytest
from pydantic import ValidationError

from tiles.access import Access
from tiles.errors import SceneError
from tiles.presets import AssetNames, preset_of, presets
from tiles.search import SearchSettings
from tiles.sensors import load_sensor
from tiles.stac_scenes import source_of_item

HOST = "https://example.org/"


def item(*assets, collection="", **properties):
    return {
        "id": "S2B_x",
        "collection": collection,
        "bbox": [77.0, 28.0, 78.0, 29.0],
        "properties": {"datetime": "2026-01-15T05:31:39Z", **properties},
        "assets": {name: {"href": f"{HOST}{name}.tif"} for name in assets},
    }


def source(found, **search):
    return source_of_item(found, SearchSettings(**search), Access())


@pytest.mark.parametrize(
    ("collection", "assets", "kind"),
    [
        ("sentinel-2-l2a", ("red", "green", "blue", "scl"), "scl"),
        ("sentinel-2-c1-l2a", ("red", "green", "blue", "scl"), "scl"),
        ("sentinel-2-l2a", ("B04", "B03", "B02", "SCL"), "scl"),
        ("sentinel-2-l2a", ("B04_10m", "B03_10m", "B02_10m", "SCL_20m"), "scl"),
        ("landsat-c2-l2", ("red", "green", "blue", "qa_pixel"), "qa_pixel"),
    ],
)
def test_public_collections_are_known_by_whatever_name_their_catalogue_gives(
    collection, assets, kind
):
    found = source(item(*assets, "thumbnail", collection=collection))
    assert found.files == tuple(f"{HOST}{name}.tif" for name in assets[:3])
    assert (found.mask.href, found.mask.kind) == (f"{HOST}{assets[3]}.tif", kind)


def test_every_preset_has_its_sensor_profile():
    for preset in presets():
        profile = load_sensor(preset.name)
        assert set(preset.collections) <= set(profile.collections) | {preset.name}
        assert profile.mask == preset.mask_kind
    assert preset_of("cats") is None


def test_what_bears_on_the_numbers_travels():
    found = source(
        item(
            *("red", "green", "blue", "scl"),
            collection="sentinel-2-l2a",
            **{
                "eo:cloud_cover": 12,
                "platform": "Sentinel-2B",
                "s2:processing_baseline": "05.11",
                "s2:product_uri": "S2B_MSIL2A_20260115T053139.SAFE",
                "earthsearch:boa_offset_applied": True,
            },
        )
    )
    assert (found.scene_id, found.date, found.platform) == ("S2B_x", "2026-01-15", "sentinel-2b")
    assert (found.cloud_percent, found.baseline, found.offset_applied) == (12.0, "05.11", True)
    assert "S2B_MSIL2A_20260115T053139" in found.text
    assert found.ground.bounds == (77.0, 28.0, 78.0, 29.0)
    assert found.access == Access()


def test_unknown_collections_speak_through_common_names_or_one_picture():
    common = item("b1", "b2", "b3")
    for name, colour in zip(("b1", "b2", "b3"), ("blue", "green", "red"), strict=True):
        common["assets"][name]["eo:bands"] = [{"name": name, "common_name": colour}]
    assert [file[-6:-4] for file in source(common).files] == ["b3", "b2", "b1"]
    assert source(item("visual", "B08")).files == (f"{HOST}visual.tif",)
    with pytest.raises(SceneError, match=r"has no asset visual or image or data \(it has B08\)"):
        source(item("B08"))


def test_one_s_own_names_and_addresses_go_first():
    names = {"red": ("r",), "green": ("g",), "blue": ("b",), "mask": ("q",), "mask_kind": "scl"}
    found = item("red", "green", "blue", "r", "g", "b", "q", collection="sentinel-2-l2a")
    found["assets"]["r"]["alternate"] = {"s3": {"href": "s3://bucket/deep/r.tif"}}
    plain = source(found, assets=names)
    assert plain.files[0] == f"{HOST}r.tif"
    other = source(found, assets=names, alternate="s3")
    assert other.files[0] == "https://bucket.s3.amazonaws.com/deep/r.tif"
    assert other.files[1] == f"{HOST}g.tif"


@pytest.mark.parametrize(
    "names",
    [
        {"red": ["a"]},
        {"image": ["a"], "red": ["a"], "green": ["b"], "blue": ["c"]},
        {"image": ["a"], "mask": ["b"]},
        {},
    ],
)
def test_names_that_do_not_fit_together_are_refused(names):
    with pytest.raises(ValidationError):
        AssetNames.model_validate(names)


def test_an_item_with_a_signature_in_an_address_is_left_out_without_telling_it():
    found = item("red", "green", "blue", "scl", collection="sentinel-2-l2a")
    found["assets"]["green"]["href"] += "?sv=2024&sig=s3cret"
    with pytest.raises(SceneError, match="S2B_x carries a signature") as said:
        source(found)
    assert "s3cret" not in str(said.value)


@pytest.mark.parametrize("href", ["gs://bucket/a.tif", "ftp://example.org/a.tif"])
def test_an_address_that_nobody_would_ask_politely_is_left_out(href):
    found = item("visual")
    found["assets"]["visual"]["href"] = href
    with pytest.raises(SceneError, match=r"which is not asked: http, https and s3 are"):
        source(found)
