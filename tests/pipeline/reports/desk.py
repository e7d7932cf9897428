"""A made-up operator's desk: a store, its keys, a source, and files to import."""

from dataclasses import dataclass
from datetime import date
from pathlib import Path

from pipeline.reports.importing import ImportSettings, import_reports
from pipeline.reports.keys import KeyFolder
from pipeline.reports.store import lines, read_canonical
from tiles.region import Period

PERIOD = Period("2025-11", "2026-06")
TODAY = date(2026, 6, 15)
REGION = '{"type": "Polygon", "coordinates": [[[76, 27], [80, 27], [80, 30], [76, 30], [76, 27]]]}'


@dataclass(frozen=True)
class Desk:
    folder: Path

    @property
    def store(self) -> Path:
        return self.folder / "safe" / "reports.age"

    @property
    def keys(self) -> Path:
        return self.folder / "keys"

    @property
    def key_folder(self) -> KeyFolder:
        return KeyFolder(self.keys)

    def file(self, content: bytes, name: str = "export.csv") -> Path:
        path = self.folder / name
        path.write_bytes(content)
        return path

    def source(self, settings: str = "", name: str = "helpline") -> Path:
        path = self.folder / f"{name}.toml"
        path.write_text(f'name = "{name}"\n{settings}', encoding="utf-8")
        return path

    def region(self) -> Path:
        path = self.folder / "region.geojson"
        path.write_text(REGION)
        return path

    def settings(self, *files: Path, **change: object) -> ImportSettings:
        values = {
            "files": files,
            "store": self.store,
            "keys": self.keys,
            "period": PERIOD,
            "today": TODAY,
            **change,
        }
        return ImportSettings.model_validate(values)

    def bring(self, *files: Path, **change: object):
        return import_reports(self.settings(*files, **change))

    def kept(self, period: Period = PERIOD) -> list:
        return list(read_canonical(self.store, self.keys, period))

    def lines(self) -> list:
        return list(lines(self.store, self.key_folder))

    def refused(self) -> list[tuple[int, str]]:
        found = [line["refused"] for line in self.lines() if "refused" in line]
        return [(one["number"], one["reason"]) for one in found]
