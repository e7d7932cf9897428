"""A scheduler by its address: with TLS, with graphics cards, or not there at all."""

import logging
import shutil
import subprocess

import pytest
from distributed import LocalCluster
from distributed.security import Security

from pipeline.engine.cluster import _local_cluster, connect, on_one_worker, worker_count
from pipeline.plan import resolve_here
from tests.pipeline.engine_runs import engine, settings_for, threads_cluster
from tiles.errors import ConfigError, SurveyError

QUIET = {"dashboard_address": "127.0.0.1:0", "silence_logs": logging.CRITICAL}


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A key and a certificate that signs itself, for both ends."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl, which makes the certificates, is not on this machine")
    folder = tmp_path_factory.mktemp("tls")
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=kilnlight",
    ]
    files = ["-keyout", folder / "key.pem", "-out", folder / "cert.pem"]
    subprocess.run([*command, *map(str, files)], check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def tls_address(certificate):
    key, cert = str(certificate / "key.pem"), str(certificate / "cert.pem")
    pairs = {f"tls_{role}_key": key for role in ("scheduler", "worker", "client")}
    pairs |= {f"tls_{role}_cert": cert for role in ("scheduler", "worker", "client")}
    security = Security(tls_ca_file=cert, require_encryption=True, **pairs)
    with LocalCluster(
        n_workers=1,
        threads_per_worker=2,
        processes=False,
        host="127.0.0.1",
        protocol="tls://",
        security=security,
        **QUIET,
    ) as cluster:
        yield cluster.scheduler_address


def tls(certificate):
    cert, key = certificate / "cert.pem", certificate / "key.pem"
    return engine(tls_ca=cert, tls_cert=cert, tls_key=key)


def test_a_scheduler_with_tls_is_reached_with_the_three_files(certificate, tls_address, tmp_path):
    settings = settings_for("x", tmp_path, scheduler=tls_address, engine=tls(certificate))
    with connect(settings, 5, "cpu") as force:
        assert tls_address.startswith("tls://")
        assert force.slots() == 2
        assert force.resources is None
        assert force.client.submit(sum, [1, 2]).result() == 3


def test_without_the_files_it_is_one_sentence(certificate, tls_address, tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.engine.cluster.CONNECT_TIMEOUT_S", 1)
    bare = settings_for("x", tmp_path, scheduler=tls_address)
    with pytest.raises(ConfigError, match=r"no Dask scheduler answers at tls://.*the TLS files"):
        connect(bare, 5, "cpu").__enter__()
    absent = engine(**dict.fromkeys(("tls_ca", "tls_cert", "tls_key"), tmp_path / "no.pem"))
    with pytest.raises(ConfigError, match=r"TLS file .*no\.pem is not there"):
        connect(
            settings_for("x", tmp_path, scheduler=tls_address, engine=absent), 5, "cpu"
        ).__enter__()
    with pytest.raises(ConfigError, match="belong together: give all three"):
        settings_for("x", tmp_path, engine=engine(tls_ca=certificate / "cert.pem"))


def test_tasks_of_a_graphics_card_go_to_workers_that_have_one(tmp_path):
    options = {"processes": False, "host": "127.0.0.1", "protocol": "tcp://", **QUIET}
    with LocalCluster(n_workers=1, threads_per_worker=1, **options, resources={"GPU": 1}) as one:
        settings = settings_for("x", tmp_path, scheduler=one.scheduler_address)
        with connect(settings, 5, "cuda") as force:
            assert force.resources == {"GPU": 1.0}
            assert force.slots() == 1
        assert on_one_worker(settings, resolve_here, "cpu", "fp32") == {
            "device": "cpu",
            "precision": "fp32",
        }


def test_a_graphics_card_of_this_machine_has_several_tasks_to_read_ahead(tmp_path, monkeypatch):
    asked = {}
    monkeypatch.setattr(
        "pipeline.engine.cluster.LocalCluster", lambda **options: asked.update(options)
    )
    _local_cluster(1, {"GPU": 1.0})
    assert (asked["threads_per_worker"], asked["resources"]) == (4, {"GPU": 4.0})
    _local_cluster(2, None)
    assert (asked["threads_per_worker"], asked["resources"]) == (1, None)
    assert asked["memory_limit"] is None, "Dask would pause a worker for good"


def test_a_cluster_of_such_boxes_need_not_announce_them(tmp_path):
    with threads_cluster() as address:
        settings = settings_for("x", tmp_path, scheduler=address)
        with connect(settings, 5, "cuda") as force:
            assert force.resources is None


def test_a_scheduler_without_workers_is_one_sentence(tmp_path):
    options = {"processes": False, "host": "127.0.0.1", "protocol": "tcp://", **QUIET}
    with LocalCluster(n_workers=0, **options) as none:
        settings = settings_for(
            "x", tmp_path, scheduler=none.scheduler_address, engine=engine(worker_wait_s=0.2)
        )
        with pytest.raises(SurveyError, match=r"no worker came to tcp://.* within 0\.2 s"):
            on_one_worker(settings, resolve_here, "auto", "auto")


def test_one_process_a_core_and_one_a_card(tmp_path, monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1, 2}, raising=False)
    settings = settings_for("x", tmp_path)
    monkeypatch.setattr("pipeline.engine.cluster.MEMORY_LIMIT", 64 * 10**9)
    assert worker_count(settings) == 3
    monkeypatch.setattr("pipeline.engine.cluster.MEMORY_LIMIT", 2_700_000_000)
    assert worker_count(settings) == 2, "no more than memory holds"
    monkeypatch.setattr("pipeline.engine.cluster.MEMORY_LIMIT", 500_000_000)
    assert worker_count(settings) == 1
    assert worker_count(settings, "cuda") == 1
    assert worker_count(settings.model_copy(update={"workers": 7}), "cuda") == 7
