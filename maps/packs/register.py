"""The operator's log of packs: a line each, and which sites it held, by which chance.

It is what makes a lost pack a question with an answer (which places, whose, until when), and what
outcomes are weighted by. It stays with the operator; none of it is of reports.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from maps.sheets import ENCODING, write_csv

FOLDER, LOG = "packs", "log.jsonl"
COLUMNS = ("pack_id", "site_id", "lon", "lat", "p_site", "selection", "random_probability")
FOR_OWNER, OWNERS_FOLDER = 0o600, 0o700


class PackRegister:
    """The packs of one run, in its folder `packs`."""

    def __init__(self, run_folder: Path) -> None:
        """Take the register of a run, which may have none yet."""
        self.folder = run_folder / FOLDER

    def open(self) -> Path:
        """Make the folder, for its owner alone, and return it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(OWNERS_FOLDER)
        return self.folder

    def note(self, line: Mapping[str, object], sites: pd.DataFrame) -> None:
        """Append a line to the log, and keep which sites the pack held.

        Args:
            line: what is to be known of the pack; `pack_id` among it.
            sites: COLUMNS but pack_id.
        """
        folder, pack_id = self.open(), str(line["pack_id"])
        held = sites.assign(pack_id=pack_id)[list(COLUMNS)]
        write_csv(folder / f"{pack_id}.csv", COLUMNS, held.itertuples(index=False, name=None))
        (folder / f"{pack_id}.csv").chmod(FOR_OWNER)
        log = os.open(folder / LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, FOR_OWNER)
        try:
            os.write(log, (json.dumps(line, ensure_ascii=False) + "\n").encode("utf-8"))
            os.fsync(log)
        finally:
            os.close(log)

    def sites(self) -> pd.DataFrame:
        """Return COLUMNS of every site of every pack, in the order in which packs were made."""
        files = [self.folder / f"{pack_id}.csv" for pack_id in self._made()]
        # a list that was deleted on purpose is only missing from what outcomes are weighted by
        tables = [pd.read_csv(path, encoding=ENCODING) for path in files if path.exists()]
        if not tables:
            return pd.DataFrame(columns=list(COLUMNS)).astype(
                {"lon": float, "lat": float, "p_site": float, "random_probability": float}
            )
        return pd.concat(tables, ignore_index=True)[list(COLUMNS)]

    def _made(self) -> list[str]:
        """Names of the packs of the log; one that was made again stands where it was last."""
        log = self.folder / LOG
        lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
        names = [str(json.loads(line)["pack_id"]) for line in lines]
        return list(dict.fromkeys(reversed(names)))[::-1]
