import pytest

from tiles.errors import ConfigError, SceneError
from tiles.sensors import (
    SourceFacts,
    check_known,
    known_sensors,
    load_sensor,
    radiometry_of,
    recognise,
    true_colour,
)

OWN = """
name = "drone"
title = "A drone's camera"
source = "its maker"
dtypes = ["uint16"]
bands = { red = "1", green = "2", blue = "3" }
gsd_m = 2.0
scale = 0.00002
offset = 0.01
"""


def l2a(name="S2A_MSIL2A_20260114T053201_N0511_R105_T44RKR_20260114T081500", **more):
    return SourceFacts(where="scene", dtype="uint16", text=name, **more)


def test_every_profile_that_comes_along_can_be_read():
    assert known_sensors() == (
        *("landsat-c2-l2", "reflectance", "reflectance-10000"),
        *("sentinel-2-l1c", "sentinel-2-l2a", "true-colour"),
    )
    assert all(load_sensor(name).name == name for name in known_sensors())


@pytest.mark.parametrize(
    ("name", "offset"),
    [
        ("S2A_MSIL2A_20260114T053201_N0511_R105_T44RKR_20260114T081500.SAFE", -0.1),
        ("S2B_MSIL2A_20220126T053201_N0400_R105_T44RKR_20220126T081500", -0.1),
        ("S2B_MSIL2A_20211230T053201_N0301_R105_T44RKR_20211230T081500", 0.0),
        # the same year, processed again by Collection 1: the baseline decides, not the date
        ("S2B_MSIL2A_20211230T053201_N0500_R105_T44RKR_20230110T081500", -0.1),
        ("S2A_MSIL1C_20190114T053201_N0207_R105_T44RKR_20190114T081500", 0.0),
    ],
)
def test_the_baseline_in_the_name_decides_the_offset(name, offset):
    found = radiometry_of(l2a(name, date="2021-12-30"))
    assert found.offset == (offset,) * 3
    assert found.basis.startswith("baseline")


def test_without_a_baseline_the_date_decides_and_without_both_nothing_is_guessed():
    cog = "/data/S2B_44RKR_20220124_0_L2A/B04.tif"
    before = radiometry_of(l2a(cog, date="2022-01-24"))
    assert before.offset == (0.0,) * 3
    assert "date" in before.basis
    assert radiometry_of(l2a(cog, date="2022-01-25")).offset == (-0.1,) * 3
    with pytest.raises(SceneError, match="neither its processing baseline nor its date"):
        radiometry_of(l2a(cog))


def test_a_catalogue_that_has_applied_the_offset_and_a_files_own_tag_go_first():
    applied = radiometry_of(l2a(collection="sentinel-2-l2a", offset_applied=True))
    assert applied.offset == (0.0,) * 3
    tagged = radiometry_of(l2a(tags={"BOA_ADD_OFFSET": "-1000"}, date="2020-01-01"))
    assert tagged.offset == pytest.approx((-0.1,) * 3)


def test_names_of_products_and_collections_are_recognised():
    assert recognise(l2a()).name == "sentinel-2-l2a"
    landsat = "LC09_L2SP_146040_20260110_20260112_02_T1_SR_B4.TIF"
    assert recognise(l2a(landsat)).name == "landsat-c2-l2"
    assert radiometry_of(l2a(landsat)).offset == (-0.2,) * 3
    assert recognise(l2a("B04.tif", collection="sentinel-2-c1-l2a")).name == "sentinel-2-l2a"
    assert recognise(l2a("field_work.tif")) is None


def test_eight_bits_need_no_profile_and_sixteen_do():
    assert radiometry_of(SourceFacts(where="s", dtype="uint8", text="S2A_MSIL2A_20260114T")) is None
    check_known("s", "uint8", None)
    with pytest.raises(SceneError, match=r"holds uint16 numbers .* name a profile with --sensor"):
        check_known("s", "uint16", radiometry_of(l2a("unknown.tif")))


def test_what_the_file_says_of_its_scale_is_taken_where_no_profile_is_known():
    said = radiometry_of(l2a("unknown.tif", scales=(2e-4,) * 3, offsets=(0.01,) * 3))
    assert (said.sensor, said.scale, said.offset) == ("file", (2e-4,) * 3, (0.01,) * 3)


def test_a_profile_of_ones_own(tmp_path):
    (tmp_path / "drone.toml").write_text(OWN)
    found = radiometry_of(l2a(), load_sensor(tmp_path / "drone.toml"))
    assert (found.sensor, found.scale[0], found.offset[0]) == ("drone", 2e-5, 0.01)
    other = SourceFacts(where="s", dtype="float32")
    with pytest.raises(SceneError, match="float32, and the sensor profile drone is of uint16"):
        radiometry_of(other, load_sensor(tmp_path / "drone.toml"))


def test_what_is_wrong_with_a_profile_is_one_sentence(tmp_path):
    with pytest.raises(ConfigError, match=r"There is no sensor 'spot-7': use one of landsat-c2-l2"):
        load_sensor("spot-7")
    (tmp_path / "bad.toml").write_text(OWN.replace("scale = 0.00002", "scale = -1.0"))
    with pytest.raises(ConfigError, match=r"sensor profile .*bad.toml is wrong at scale"):
        load_sensor(tmp_path / "bad.toml")
    (tmp_path / "odd.toml").write_text(OWN + "gain = 3\n")
    with pytest.raises(ConfigError, match="wrong at gain"):
        load_sensor(tmp_path / "odd.toml")


def test_true_colour_is_a_gain_alone():
    # ESA: 255 is a reflectance of 0.3558 in Level-1C true colour
    assert true_colour().scale[0] * 255 == pytest.approx(0.3558, abs=1e-5)
    assert true_colour().offset == (0.0,) * 3
