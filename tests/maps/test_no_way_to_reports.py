"""The code of maps has no path to raw reports: it imports nothing that knows them."""

import ast

import pytest

import maps
from tests.conftest import REPOSITORY

MODULES = sorted((REPOSITORY / "maps").rglob("*.py"))
OURS = {"tiles", "models", "pipeline", "maps", "tests"}
ALLOWED = {"maps", "tiles", "models.detection", "models.site_class"}
# These read files that the operator names (a raster, boundaries, a marked sheet, exclusions, keys,
# decisions, a pack's own log and contacts), what the run folder keeps for publishing, page assets,
# catalogues of languages, fonts, pictures already in memory, and archives of their own making.
READ_FILES = {
    *("access", "audit_estimate", "boundaries", "page", "publish", "gate", "layers"),
    *("basemap", "exclusions", "language", "record", "sealing"),
    *("archive", "cards", "decisions", "facts", "fonts", "geopackage", "register"),
}
READERS = {"open", "read_text", "read_bytes", "read_csv", "read_file", "read_parquet", "read_table"}


def imports(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def calls(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield getattr(node.func, "attr", getattr(node.func, "id", ""))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_a_module_of_maps_knows_tables_and_nothing_behind_them(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    own = {name for name in imports(tree) if name.partition(".")[0] in OURS}
    behind = {name for name in own if not any(f"{name}.".startswith(f"{a}.") for a in ALLOWED)}
    assert not behind
    if path.stem not in READ_FILES:
        assert not set(calls(tree)) & READERS


def test_there_are_modules_to_look_at():
    assert maps.__file__ is not None
    assert {"evidence", "priority", "priorities", "reporting"} <= {path.stem for path in MODULES}
