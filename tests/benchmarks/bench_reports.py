"""How long a hundred thousand reports take into the encrypted store, and how much memory."""

import csv
import time
import tracemalloc

import numpy as np

from tests.pipeline.reports.desk import Desk

REPORTS = 100_000
HEADER = ["report_id", "consent", "phone", "lat", "lon", "month", "industry", "signs", "story"]


def test_a_hundred_thousand_reports_are_imported_in_seconds(tmp_path):
    desk = Desk(tmp_path)
    people = np.random.default_rng(5).permutation(REPORTS)
    path = tmp_path / "export.csv"
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(HEADER)
        writer.writerows(
            [n, "yes", f"+91 98{person:08d}", f"28.{person:05d}", f"77.{n:05d}", "2026-02",
             "C_Manufacturing", "DebtBondage", "told " * 20]
            for n, person in enumerate(people)
        )  # fmt: skip
    source, region = desk.source(), desk.region()
    began, worked = time.monotonic(), time.process_time()
    summary = desk.bring(path, source=source, region=region, format="plain-csv")
    took_s, cpu_s = time.monotonic() - began, time.process_time() - worked
    assert summary.accepted == REPORTS
    tracemalloc.start()
    again = desk.bring(path, source=source, region=region, format="plain-csv")
    peak_mb = tracemalloc.get_traced_memory()[1] / 1e6
    tracemalloc.stop()
    assert again.accepted == 0
    print(f"\n{REPORTS:,} reports: {took_s:.1f} s ({cpu_s:.1f} s of one core), {peak_mb:.0f} MB")
    assert cpu_s < 10  # what other programs take of the machine is none of ours
    assert peak_mb < 50  # a number a report
