"""The gate of a published folder: refuses, in the bytes as written, what the tier never holds."""

from pathlib import Path

from maps.downloads import (
    CITATION,
    DICTIONARY,
    GROUPS_CSV,
    GROUPS_JSON,
    MANIFEST,
    SITES_CSV,
    SITES_JSON,
)
from maps.gate_pages import check_page
from maps.gate_rules import Expected, check_names, refused
from maps.gate_tables import UNREADABLE, TableGate
from tiles.errors import PublishError


def check_folder(folder: Path, expected: Expected) -> None:
    """Refuse a folder that holds anything but what its tier may.

    Args:
        folder: as written, not yet in place.
        expected: what it must and may hold.

    Raises:
        PublishError: naming the file and what must not be in it.
    """
    for path in sorted(folder.rglob("*")):
        if path.name not in expected.files or not path.is_file() or path.parent != folder:
            raise refused("the folder", f"the file {path.name}")
    if missing := sorted(name for name in expected.files if not (folder / name).is_file()):
        raise PublishError(f"{missing[0]} was not written, so nothing was published: try again.")
    gate = TableGate(folder, expected)
    checks = {
        GROUPS_CSV: gate.check_group_sheet,
        GROUPS_JSON: gate.check_group_areas,
        SITES_CSV: gate.check_site_sheet,
        SITES_JSON: gate.check_site_points,
        DICTIONARY: gate.check_dictionary,
        CITATION: gate.check_citation,
        MANIFEST: gate.check_manifest,
    }
    for name in sorted(expected.files):
        try:
            text = (folder / name).read_bytes().decode("utf-8")
            check_names(name, text, expected)
            if name in expected.pages:
                check_page(name, text, expected)
            else:
                checks[name](text)
        except UNREADABLE as error:
            fault = f"something that cannot be checked ({type(error).__name__}: {error})"
            raise refused(name, fault) from error
