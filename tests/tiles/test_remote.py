import numpy as np
import pytest
import rasterio
from rasterio.errors import RasterioError
from rasterio.vrt import WarpedVRT

from tests.loopback import Fault, loopback
from tests.made_up import noise, write_raster
from tiles.access import Access
from tiles.blocks import Block
from tiles.catalog import find_scenes
from tiles.errors import AccessError, SceneError
from tiles.handles import close_all
from tiles.read import read_block
from tiles.remote import complete, fingerprint_of, open_dataset, open_raster
from tiles.scene import GsdLimits
from tiles.search import Query

PIXELS = noise(1024, 1024)
TILED = {"tiled": True, "blockxsize": 256, "blockysize": 256}


@pytest.fixture
def server(tmp_path):
    folder = tmp_path / "web"
    folder.mkdir()
    write_raster(folder / "a.tif", PIXELS, **TILED)
    with loopback(folder) as server:
        yield server
    close_all()


@pytest.fixture
def access(tmp_path):
    return Access(cache=tmp_path / "cache", retries=0, timeout_s=2)


def scene_of(server, access, name="a.tif"):
    found = find_scenes([server.file(name)], GsdLimits(), None, Query(access=access))
    assert len(found.scenes) == 1
    return found.scenes[0]


def test_a_raster_on_a_server_reads_like_one_here(server, access):
    with (
        open_raster(server.file("a.tif"), access) as there,
        rasterio.open(server.folder / "a.tif") as here,
    ):
        assert (there.profile, there.bounds) == (here.profile, here.bounds)
        assert np.array_equal(
            there.read(window=((300, 700), (10, 900))), PIXELS[:, 300:700, 10:900]
        )
        with WarpedVRT(there, crs="EPSG:4326") as warped, WarpedVRT(here, crs="EPSG:4326") as known:
            assert np.array_equal(warped.read(), known.read())


def test_only_the_bytes_of_a_window_are_fetched_and_side_by_side(server, access):
    with open_raster(server.file("a.tif"), access) as there:
        server.took()
        there.read(window=((0, 200), (0, 200)))
    asked = [one.range.removeprefix("bytes=").split("-") for one in server.took()]
    fetched = sum(int(last) - int(first) + 1 for first, last in asked)
    assert fetched < 3 * 256 * 256 + 3 * 2 * 2**15, "three bands' tile, rounded to blocks"


@pytest.mark.parametrize("compress", ["none", "deflate"])
def test_bytes_that_never_come_are_no_black_pixels(server, access, compress):
    write_raster(server.folder / "b.tif", PIXELS, **TILED, compress=compress)
    url = server.file("b.tif")
    server.faults = [Fault("b.tif", status=503, only_range=True)]
    with (
        pytest.raises(AccessError, match=r"b\.tif cannot be had \(HTTP 503"),
        open_raster(url, access) as dataset,
    ):
        dataset.read(window=((700, 800), (700, 800)))
    kept = open_dataset(url, access)
    with pytest.raises(AccessError), complete(url, access):
        kept.read(window=((700, 800), (700, 800)))
    kept.close()
    server.faults = []
    with open_raster(url, access) as dataset:
        assert np.array_equal(dataset.read(), PIXELS), "earlier failures do not count"


def test_a_block_that_failed_is_whole_when_it_is_tried_again(server, access):
    scene, block = scene_of(server, access), Block(512, 512, 256, 256, 0)
    server.faults = [Fault("a.tif", drop_half=True, times=20, only_range=True)]
    with pytest.raises(SceneError, match="the connection broke off"):
        read_block(scene, block)
    server.faults = []
    read = read_block(scene, block)
    assert np.array_equal(read.pixels, PIXELS[:, 512:768, 512:768])
    assert read.usable.all()


def test_a_corrupt_file_is_failed_where_it_is_corrupt(server, access):
    write_raster(server.folder / "bad.tif", PIXELS, **TILED, compress="deflate")
    with rasterio.open(server.folder / "bad.tif") as dataset:
        offset = int(dataset.get_tag_item("BLOCK_OFFSET_3_3", "TIFF", bidx=1))
    with (server.folder / "bad.tif").open("r+b") as stream:
        stream.seek(offset)
        stream.write(b"\xff" * 5000)
    scene = scene_of(server, access, "bad.tif")
    assert read_block(scene, Block(0, 0, 512, 512, 0)).usable.all()
    with pytest.raises(SceneError, match=r"at row 768, column 768: .* damaged"):
        read_block(scene, Block(768, 768, 256, 256, 0))


def test_what_is_no_raster_is_one_sentence(server, access):
    (server.folder / "page.tif").write_text("<html>not here</html>")
    with pytest.raises(SceneError, match=r"page\.tif is no raster that can be opened"):
        scene_of(server, access, "page.tif")
    with pytest.raises(RasterioError), open_raster(server.file("page.tif"), access):
        pass
    with pytest.raises(AccessError, match="is not there"), open_raster(server.file("x"), access):
        pass


def test_a_scene_knows_when_its_file_changes(server, access, tmp_path):
    before = scene_of(server, access).fingerprint
    assert before == fingerprint_of([server.file("a.tif")], access)
    write_raster(server.folder / "a.tif", noise(1024, 1024, 1), **TILED)
    elsewhere = Access(cache=tmp_path / "other", retries=0)
    assert scene_of(server, elsewhere).fingerprint != before
    assert fingerprint_of([str(server.folder / "a.tif")], access) is None


def test_a_file_that_is_cut_off_on_its_server_is_one_sentence(server, access):
    path = server.folder / "a.tif"
    path.write_bytes(path.read_bytes()[:2_000_000])
    scene = scene_of(server, access)
    assert read_block(scene, Block(0, 0, 256, 256, 0)).usable.all()
    with pytest.raises(SceneError, match=r"a\.tif is shorter than its header says|damaged or cut"):
        read_block(scene, Block(768, 768, 256, 256, 0))


def test_a_file_that_was_corrupt_is_asked_for_anew(server, access):
    path = write_raster(server.folder / "bad.tif", PIXELS, **TILED, compress="deflate")
    whole = path.read_bytes()
    with rasterio.open(path) as dataset:
        offset = int(dataset.get_tag_item("BLOCK_OFFSET_3_3", "TIFF", bidx=1))
    path.write_bytes(whole[:offset] + b"\xff" * 5000 + whole[offset + 5000 :])
    block = Block(768, 768, 256, 256, 0)
    with pytest.raises(SceneError, match="damaged"):
        read_block(scene_of(server, access, "bad.tif"), block)
    path.write_bytes(whole)
    read = read_block(scene_of(server, access, "bad.tif"), block)
    assert np.array_equal(read.pixels, PIXELS[:, 768:, 768:])


def test_gdal_itself_asks_nobody(server, tmp_path):
    band = """<VRTRasterBand dataType="Byte" band="{0}"><SimpleSource>
        <SourceFilename>/vsicurl/{1}</SourceFilename><SourceBand>{0}</SourceBand>
        </SimpleSource></VRTRasterBand>"""
    url = server.file("a.tif")
    (tmp_path / "sly.vrt").write_text(
        """<VRTDataset rasterXSize="1024" rasterYSize="1024"><SRS>EPSG:32644</SRS>
        <GeoTransform>500000, 10, 0, 2990000, 0, -10</GeoTransform>"""
        + "".join(band.format(number, url) for number in (1, 2, 3))
        + "</VRTDataset>"
    )
    [scene] = find_scenes([str(tmp_path / "sly.vrt")], GsdLimits()).scenes
    with pytest.raises(SceneError):
        read_block(scene, Block(0, 0, 64, 64, 0))
    (tmp_path / "sly.tif").write_text(
        f"""<GDAL_WMS><Service name="TMS"><ServerUrl>{server.url}/files/${{z}}.png</ServerUrl>
        </Service><DataWindow><UpperLeftX>8500000</UpperLeftX><UpperLeftY>3300000</UpperLeftY>
        <LowerRightX>8510240</LowerRightX><LowerRightY>3289760</LowerRightY><SizeX>1024</SizeX>
        <SizeY>1024</SizeY></DataWindow><Projection>EPSG:3857</Projection>
        <BandsCount>3</BandsCount></GDAL_WMS>"""
    )
    with pytest.raises(SceneError, match="is no raster that can be opened"):
        find_scenes([str(tmp_path / "sly.tif")], GsdLimits())
    assert server.took() == []
