import json

import numpy as np
import pytest
import shapely

from tests.loopback import Fault, collection, item, loopback, stac_api
from tests.made_up import UTM_ORIGIN, noise, write_raster
from tiles.access import Access
from tiles.blocks import Block
from tiles.catalog import find_scenes
from tiles.errors import AccessError, SceneError
from tiles.read import read_block
from tiles.region import Period
from tiles.scene import GsdLimits, open_scene
from tiles.search import Query, SearchSettings, located
from tiles.stac import find_items

SEASON = Period.parse("2025-11/2026-06")
DAYS = {"a": "2026-01-05", "b": "2026-02-05", "monsoon": "2026-07-01"}


@pytest.fixture
def server(tmp_path):
    folder = tmp_path / "web"
    folder.mkdir()
    with loopback(folder) as server:
        yield server


@pytest.fixture
def items(server):
    """Three made-up scenes on the server, one of them out of season, and their items."""
    made = []
    for number, (name, day) in enumerate(DAYS.items()):
        path = write_raster(server.folder / f"{name}.tif", noise(128, 128, number))
        scene = open_scene(path, name, GsdLimits())
        properties = {"eo:cloud_cover": 20.0 * number, "platform": f"Sentinel-2{'AB'[number % 2]}"}
        made.append(item(scene, {"visual": server.file(path.name)}, "made-up", day, **properties))
    return made


def query(tmp_path, items, period=SEASON, access=None, **search):
    ground = shapely.box(*items[0]["bbox"]).centroid.buffer(0.001)
    settings = {"cache": tmp_path / "cache", "retries": 1, **(access or {})}
    return Query(ground, period, SearchSettings(**search), Access(**settings))


def ids(source, asked):
    return [scene.scene_id for scene in find_scenes([source], GsdLimits(), None, asked).scenes]


def test_an_api_is_asked_for_region_and_period_and_only_once(tmp_path, server, items):
    with stac_api(server, [collection("made-up"), *items]) as url:
        found = find_scenes([f"stac:{url}#made-up"], GsdLimits(), None, query(tmp_path, items))
        assert [(s.scene_id, s.date, s.platform, s.cloud_percent) for s in found.scenes] == [
            ("a", "2026-01-05", "sentinel-2a", 0.0),
            ("b", "2026-02-05", "sentinel-2b", 20.0),
        ]
        asked = [(one.method, one.path) for one in server.took()]
        assert asked[:3] == [("GET", "/"), ("GET", "/collections"), ("POST", "/search")]
        assert sorted(asked[3:]) == [("GET", "/files/a.tif"), ("GET", "/files/b.tif")]
        offline = query(tmp_path, items, access={"offline": True})
        again = find_scenes([f"stac:{url}#made-up"], GsdLimits(), None, offline)
        assert [s.fingerprint for s in again.scenes] == [s.fingerprint for s in found.scenes]
        assert server.took() == []
        find_items(f"stac:{url}#made-up", query(tmp_path, items, access={"refresh": True}))
        assert [one.path for one in server.took()] == ["/", "/collections", "/search"]


def test_clouds_and_satellites_are_chosen(tmp_path, server, items):
    with stac_api(server, [collection("made-up"), *items]) as url:
        source = f"stac:{url}#made-up"
        assert ids(source, query(tmp_path, items, max_cloud_percent=10)) == ["a"]
        assert ids(source, query(tmp_path, items, platforms=("sentinel-2b",))) == ["b"]
        with pytest.raises(SceneError, match=r"of 2: 1 of other satellites, 1 too cloudy"):
            ids(source, query(tmp_path, items, max_cloud_percent=10, platforms=("sentinel-2b",)))


def test_pages_are_turned_to_the_end_and_never_without_end(tmp_path, server, items):
    many = [{**items[0], "id": f"a{number:03d}"} for number in range(130)]
    with stac_api(server, [collection("made-up"), *many]) as url:
        source = f"stac:{url}#made-up"
        assert len(find_items(source, query(tmp_path, items))) == 130
        assert [one.path for one in server.took()].count("/search") >= 2
        few = query(tmp_path, items, access={"cache": tmp_path / "other"}, max_items=100)
        with pytest.raises(SceneError, match="has more than 100 items there"):
            find_items(source, few)


def test_a_search_has_an_end(tmp_path, server, items):
    many = [{**items[0], "id": f"a{number:03d}"} for number in range(130)]
    with stac_api(server, [collection("made-up"), *many]) as url:
        server.latency_s = 0.2
        with pytest.raises(AccessError, match=r"was not over after 0\.5 s: narrow the region"):
            find_items(f"stac:{url}#made-up", query(tmp_path, items, limit_s=0.5))


def test_a_busy_catalogue_is_asked_again(tmp_path, server, items):
    with stac_api(server, [collection("made-up"), *items]) as url:
        server.faults = [Fault("/search", status=429, headers={"Retry-After": "0"}, times=1)]
        assert ids(f"stac:{url}#made-up", query(tmp_path, items)) == ["a", "b"]
        server.faults = [Fault("/search", status=500)]
        other = query(tmp_path, items, access={"cache": tmp_path / "other"})
        with pytest.raises(AccessError, match=r"/search cannot be had \(HTTP 500, 2 tries\)"):
            ids(f"stac:{url}#made-up", other)


def test_what_is_wrong_with_a_catalogue_is_one_sentence(tmp_path, server, items):
    (server.folder / "page.html").write_text("<html></html>")
    (server.folder / "other.json").write_text('{"type": "Other"}')
    (server.folder / "list.json").write_text("[]")
    asked = query(tmp_path, items)
    with stac_api(server, [collection("made-up"), collection("empty"), *items]) as url:
        faults = {
            f"stac:{url}#nope": r"has no collection 'nope': .*\(empty, made-up\)",
            f"stac:{url}": r"has several: write one of its collections behind '#'",
            f"stac:{url}#empty": "holds no item there in 2025-11/2026-06: widen",
            f"stac:{server.file('page.html')}": "is no STAC document",
            f"stac:{server.file('other.json')}": "its type is 'Other'",
            f"stac:{server.file('list.json')}": "is no STAC document",
            f"stac:{server.file('none.json')}": "is not there",
            "stac:http://127.0.0.1:9#a": "no server answers there",
            f"stac:{tmp_path / 'none.json'}": "cannot be read",
        }
        for source, sentence in faults.items():
            with pytest.raises(SceneError, match=sentence):
                find_items(source, asked)
        nowhere = Query(None, SEASON, SearchSettings(), asked.access)
        with pytest.raises(SceneError, match="is a whole catalogue: name the --region"):
            find_items(f"stac:{url}#made-up", nowhere)


def test_items_and_lists_of_them_are_sources_too(tmp_path, server, items):
    asked = query(tmp_path, items)
    one, many = tmp_path / "item.json", tmp_path / "items.geojson"
    one.write_text(json.dumps(items[1]))
    many.write_text(json.dumps({"type": "FeatureCollection", "features": items}))
    assert ids(str(one), asked) == ["b"]
    assert ids(f"stac:{many}", asked) == ["a", "b"]
    assert ids(str(many), query(tmp_path, items, period=None)) == ["a", "b", "monsoon"]
    (server.folder / "items.json").write_text(many.read_text())
    assert ids(server.file("items.json"), asked) == ["a", "b"]


def test_relative_addresses_are_those_beside_the_document(tmp_path, server, items):
    for name, found in zip(DAYS, items, strict=True):
        found["assets"]["visual"]["href"] = f"./{name}.tif"
    listed = server.folder / "items.json"
    listed.write_text(json.dumps({"type": "FeatureCollection", "features": items}))
    asked = query(tmp_path, items)
    for source, remote in ((str(listed), False), (server.file("items.json"), True)):
        scenes = find_scenes([source], GsdLimits(), None, asked).scenes
        assert [scene.is_remote for scene in scenes] == [remote, remote]
    assert find_scenes([str(listed)], GsdLimits(), None, asked).scenes[0].path == (
        server.folder / "a.tif"
    )


def test_a_static_catalogue_is_walked(tmp_path, server, items):
    def write(name, document, links):
        document["links"] = [{"rel": rel, "href": href} for rel, href in links]
        (server.folder / name).write_text(json.dumps(document))

    root = {"type": "Catalog", "stac_version": "1.0.0", "id": "root", "description": "made up"}
    write("catalog.json", root, [("child", "./made-up.json"), ("child", "./none.json")])
    for name, members in (("made-up", items[:2]), ("none", [])):
        links = [("item", f"./item-{one['id']}.json") for one in members]
        write(f"{name}.json", collection(name), links)
    for one in items:
        write(f"item-{one['id']}.json", one, [("collection", "./made-up.json")])
    asked = query(tmp_path, items)
    assert ids(f"stac:{server.file('catalog.json')}#made-up", asked) == ["a", "b"]
    assert ids(f"stac:{server.folder / 'catalog.json'}#made-up", asked) == ["a", "b"]
    with pytest.raises(SceneError, match=r"no collection 'x': .*\(made-up, none\)"):
        ids(f"stac:{server.file('catalog.json')}#x", asked)


def test_a_missing_asset_and_a_wrong_place_leave_out_only_their_item(tmp_path, server, items):
    far = write_raster(
        server.folder / "b.tif",
        noise(128, 128),
        transform=UTM_ORIGIN.translation(0, 9e5) @ UTM_ORIGIN,
    )
    assert far.exists()
    (server.folder / "monsoon.tif").unlink()
    no_colour = {**items[0], "id": "none", "assets": {"thumbnail": {"href": "x.png"}}}
    with stac_api(server, [collection("made-up"), *items, no_colour]) as url:
        asked = query(tmp_path, items, period=None)
        found = find_scenes([f"stac:{url}#made-up"], GsdLimits(), None, asked)
    assert [scene.scene_id for scene in found.scenes] == ["a"]
    reasons = "\n".join(one.reason for one in found.broken)
    assert "item none has no asset visual or image or data (it has thumbnail)" in reasons
    assert "monsoon.tif is not there (HTTP 404)" in reasons
    assert "by its file and elsewhere by its catalogue" in reasons
    missing = next(one for one in found.broken if "404" in one.reason)
    assert missing.footprint.equals(shapely.box(*items[2]["bbox"])), "its ground counts as failed"


def test_scenes_have_stable_names_whatever_the_order(tmp_path, server, items):
    paths = []
    for one in items[:2]:
        paths.append(tmp_path / f"{one['id']}.json")
        paths[-1].write_text(json.dumps(one))
    asked = query(tmp_path, items)
    both = [
        find_scenes([str(p) for p in order], GsdLimits(), None, asked)
        for order in (paths, paths[::-1])
    ]
    assert both[0] == both[1]
    assert [scene.scene_id for scene in both[0].scenes] == ["a", "b"]


def test_sources_are_found_from_anywhere(tmp_path):
    assert located("a/../b.tif", tmp_path) == f"{tmp_path}/b.tif"
    assert located("stac:items.json#x", tmp_path) == f"stac:{tmp_path}/items.json#x"
    for address in ("stac:https://a.org/v1#b", "https://a.org/b.tif", "s3://bucket/b.tif"):
        assert located(address, tmp_path) == address


@pytest.mark.real_data
def test_real_imagery_over_a_catalogue_is_the_file(tmp_path, server, shared_data):
    path = shared_data / "delhi_s2" / "scene.tif"
    (server.folder / "delhi.tif").symlink_to(path)
    here = open_scene(path, "delhi", GsdLimits())
    made = item(here, {"visual": server.file("delhi.tif")}, "delhi", "2024-01-15")
    with stac_api(server, [collection("delhi"), made]) as url:
        asked = query(tmp_path, [made], period=None)
        [there] = find_scenes([f"stac:{url}#delhi"], GsdLimits(), None, asked).scenes
    assert (there.rows, there.cols, there.transform) == (here.rows, here.cols, here.transform)
    server.took()
    block = Block(2048, 4096, 512, 512, 32)
    assert np.array_equal(read_block(there, block).pixels, read_block(here, block).pixels)
    fetched = [one.range.removeprefix("bytes=").split("-") for one in server.took()]
    size = sum(int(last) - int(first) + 1 for first, last in fetched)
    assert 0 < size < path.stat().st_size / 10, "only what the block needs"
