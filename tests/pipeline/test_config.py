from pathlib import Path

import pytest

from models.weights import default_weights
from pipeline.config import RunSettings, add_to_section, read_run_file, to_toml
from tiles.errors import ConfigError, RegionError, WeightsError
from tiles.scene import Bands


def test_paths_of_a_run_file_are_relative_to_it(tmp_path):
    (tmp_path / "run.toml").write_text(
        'imagery = ["a.tif", "/else/b.tif"]\nout = "run"\nregion = "r.geojson"\nbands = [4, 3, 2]\n'
        'site_class = "own.toml"\n'
    )
    settings = RunSettings.of(read_run_file(tmp_path / "run.toml"), "run.toml")
    assert settings.imagery == (str(tmp_path / "a.tif"), "/else/b.tif")
    assert settings.out == tmp_path / "run"
    assert settings.region == tmp_path / "r.geojson"
    assert settings.site_class == str(tmp_path / "own.toml")
    assert settings.band_numbers == Bands(4, 3, 2)


def test_weights_of_a_run_file_are_a_name_or_a_file_beside_it(tmp_path):
    file = tmp_path / "run.toml"
    for text, path in (
        ("gold_mine", default_weights("gold_mine")),
        ("own.safetensors", tmp_path / "own.safetensors"),
        ("own/weights", tmp_path / "own/weights"),
    ):
        file.write_text(f'imagery = "a.tif"\nout = "run"\nweights = "{text}"\n')
        settings = RunSettings.of(read_run_file(file), "run.toml")
        assert settings.weights == path
        assert str(path) in to_toml(settings)
    file.write_text('imagery = "a.tif"\nout = "run"\nweights = "gold"\n')
    with pytest.raises(WeightsError, match="no weights called 'gold'"):
        RunSettings.of(read_run_file(file), "run.toml")


def test_written_settings_give_the_same_run_again_from_anywhere(tmp_path, monkeypatch):
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    settings = RunSettings(
        imagery=('../a "quoted" \\ name.tif', "/else/*.tif"),
        out=Path("run"),
        site_class="own.toml",
        workers=2,
        strict=True,
        bands=(3, 2, 1),
    )
    (tmp_path / "run.toml").write_text(to_toml(settings))
    monkeypatch.chdir("/")
    again = RunSettings.of(read_run_file(tmp_path / "run.toml"), "again")
    assert again.imagery == (f'{tmp_path}/a "quoted" \\ name.tif', "/else/*.tif")
    assert again.out == tmp_path / "work" / "run"
    assert again.site_class == str(tmp_path / "work" / "own.toml")
    kept = ("workers", "strict", "bands")
    assert all(getattr(again, name) == getattr(settings, name) for name in kept)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"out": "x"}, "imagery: field required"),
        ({"imagery": ["a"], "out": "x", "colour": 1}, "colour: extra inputs are not permitted"),
        ({"imagery": [], "out": "x"}, "imagery: tuple should have at least 1"),
        ({"imagery": ["a"], "out": "x", "workers": 0}, "workers: input should be greater"),
        ({"imagery": ["a"], "out": "x", "device": "tpu"}, "device: input should be 'auto'"),
        ({"imagery": ["a"], "out": "x", "bands": [1, 2]}, "bands"),
    ],
)
def test_what_does_not_fit_is_one_sentence(values, message):
    with pytest.raises(ConfigError, match=message):
        RunSettings.of(values, "run.toml")


def test_a_wrong_period_is_one_sentence():
    with pytest.raises(RegionError, match="write months as 2025-11/2026-06"):
        RunSettings.of({"imagery": ["a"], "out": "x", "period": "winter"}, "run.toml")


def test_what_is_no_run_file_is_one_sentence(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        read_run_file(tmp_path / "none.toml")
    Path(tmp_path / "bad.toml").write_text("imagery = [")
    with pytest.raises(ConfigError, match="no valid TOML"):
        read_run_file(tmp_path / "bad.toml")


def test_the_engine_has_its_own_section_with_its_own_paths(tmp_path):
    run_file = tmp_path / "run.toml"
    run_file.write_text(
        'imagery = "a.tif"\nout = "o"\n[engine]\nretries = 5\ntls_ca = "ca.pem"\n'
        'tls_cert = "c.pem"\ntls_key = "k.pem"\n'
    )
    values = read_run_file(run_file)
    add_to_section(values, "engine", {"tls_key": tmp_path / "other.pem", "tls_ca": None})
    settings = RunSettings.of(values, "x")
    assert settings.engine.retries == 5
    assert settings.engine.tls_ca == tmp_path / "ca.pem"
    assert settings.engine.tls_key == tmp_path / "other.pem"
    again = tmp_path / "again.toml"
    again.write_text(to_toml(settings))
    assert RunSettings.of(read_run_file(again), "y").engine == settings.engine
    with pytest.raises(ConfigError, match=r"engine\.retries"):
        RunSettings.of({**values, "engine": {"retries": -1}}, "x")


@pytest.mark.parametrize(
    "address",
    [
        "https://store.example.org/a.tif?sv=2024&sig=s3cret",
        "https://me:s3cret@example.org/a.tif",
        "stac:https://example.org/v1?api_key=s3cret#sentinel-2-l2a",
    ],
)
def test_a_secret_in_an_address_is_refused_before_it_is_written_down(address):
    with pytest.raises(ConfigError, match="an address holds a password or signature") as said:
        RunSettings.of({"imagery": (address,), "out": "x"}, "run.toml")
    assert "s3cret" not in str(said.value)
