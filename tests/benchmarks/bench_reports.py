"""Time and memory of taking reports in: 10,000 and 100,000, each by a person of its own."""

import csv
import json
import random
import subprocess
import sys

import pytest

COUNTS = (10_000, 100_000)
FIELDS = ("id", "consent", "phone", "lat", "lon", "date", "industry", "signs", "story")
REGION = {
    "type": "Polygon",
    "coordinates": [[[76, 27], [80, 27], [80, 30], [76, 30], [76, 27]]],
}
# In a process of its own, so that the peak of its memory is that of one import.
IMPORT = """
import json, resource, sys, time
from datetime import date
from pathlib import Path
from pipeline.reports.importing import ImportSettings, import_reports

folder, name = Path(sys.argv[1]), sys.argv[2]
settings = ImportSettings(
    files=(folder / name,), format="auto" if name.endswith("json") else "plain-csv",
    store=folder / "store" / "reports.age",
    keys=folder / "keys", period="2026-01/2026-06", source=folder / "source.toml",
    region=folder / "region.geojson", today=date(2026, 11, 22),
)
before_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
wall, cpu = time.perf_counter(), time.process_time()
summary = import_reports(settings)
print(json.dumps({
    "wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu,
    "before_mb": before_mb,
    "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    "accepted": summary.accepted,
}))
"""


def row(rng, number):
    phone, lat, lon = rng.randrange(10**9), 28 + rng.random(), 77 + rng.random()
    return {
        "id": number,
        "consent": "yes",
        "phone": f"9{phone:09d}",
        "lat": f"{lat:.6f}",
        "lon": f"{lon:.6f}",
        "date": f"2026-0{rng.randint(1, 5)}-11 10:22",
        "industry": "Manufacturing",
        "signs": "DebtBondage WithholdsDocuments",
        "story": "x" * 200,
    }


def kobo(rng, number):
    values = row(rng, number)
    return {
        "_id": number,
        "_uuid": f"u{number}",
        "_submission_time": "2026-03-11T10:00:00",
        "_geolocation": [float(values["lat"]), float(values["lon"])],
        **{key: values[key] for key in ("consent", "phone", "industry", "story")},
    }


def write_export(folder, n, kind):
    rng = random.Random(5)
    (folder / "source.toml").write_text('name = "bench"\ndefault_country = "IN"\n')
    (folder / "region.geojson").write_text(json.dumps(REGION))
    if kind == "csv":
        with (folder / "reports.csv").open("w", newline="") as stream:
            writer = csv.DictWriter(stream, FIELDS)
            writer.writeheader()
            writer.writerows(row(rng, number) for number in range(n))
    else:
        results = [kobo(rng, number) for number in range(n)]
        export = {"count": n, "next": None, "results": results}
        (folder / "reports.json").write_text(json.dumps(export))


@pytest.mark.parametrize("kind", ["csv", "json"])
@pytest.mark.parametrize("n", COUNTS)
def test_import(n, kind, tmp_path):
    write_export(tmp_path, n, kind)
    told = subprocess.run(
        [sys.executable, "-c", IMPORT, str(tmp_path), f"reports.{kind}"],
        check=True,
        capture_output=True,
        text=True,
    )
    figures = json.loads(told.stdout.splitlines()[-1])
    print(
        f"\n{n:,} reports as {kind}: {figures['wall_s']:.1f} s ({figures['cpu_s']:.1f} s CPU), "
        f"peak {figures['peak_mb']} MB ({figures['before_mb']} MB before)"
    )
    assert figures["accepted"] == n
