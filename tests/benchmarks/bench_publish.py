"""How long a partner folder of 100,000 sites takes to write and check, and how large it is."""

import time

import numpy as np
import pandas as pd
import pytest
import shapely

from maps.linking import link_sites
from tests.maps import test_publish_extremes as extremes
from tests.maps.conftest import detections_at, make_survey
from tiles.cells import CellGrid
from tiles.region import Region

N_SITES = 100_000


@pytest.fixture(scope="module")
def survey():
    return make_survey()


def test_100_000_sites_in_a_partner_folder(survey, tmp_path, monkeypatch):
    rng = np.random.default_rng(5)
    lon, lat = rng.uniform(72.01, 83.99, N_SITES), rng.uniform(22.01, 27.99, N_SITES)
    # Linking that many takes a minute, and is not what is tried here.
    one = link_sites(detections_at(lon[:1], lat[:1]), extremes.KILNS)
    sites = pd.concat([one] * N_SITES, ignore_index=True).assign(
        site_id=[f"KL-{number:09d}" for number in range(N_SITES)],
        lon=lon,
        lat=lat,
        cell_id=CellGrid().cell_ids_at(lon, lat),
    )
    sites = sites.set_geometry(shapely.points(lon, lat), crs="EPSG:4326")
    took = []
    write = extremes.publish

    def timed(*args, **options):
        started = time.perf_counter()
        paths = write(*args, **options)
        took.append(time.perf_counter() - started)
        return paths

    monkeypatch.setattr(extremes, "publish", timed)
    region = Region("Large", shapely.box(72.0, 22.0, 84.0, 28.0))
    files = extremes.publish_sites(survey, "partner", region, sites, tmp_path / "out")
    sizes = ", ".join(f"{name} {len(text) / 1e6:.1f} MB" for name, text in files.items())
    print(f"\n{N_SITES:,} sites, one language: written and checked in {took[0]:.1f} s; {sizes}")
    assert len(files["sites.csv"].splitlines()) == N_SITES + 1
