"""The table of noised counts: all that leaves the reports, a row a group, industry, period."""

import hashlib

import geopandas as gpd

from tiles.tables import Column, TableSchema

NOISED_COUNTS = TableSchema(
    name="noised_counts",
    version=1,
    columns=(
        Column("release_id", "string", "one publication of noised counts; stands in the ledger"),
        Column("partition_sha256", "string", "SHA-256 of the partition file the groups come from"),
        Column("group_id", "string", "group of cells of that partition"),
        Column("industry", "string", "HTCDS v2 industry code, of a list fixed beforehand"),
        Column("period", "string", "first and last month, as 2025-11/2026-06"),
        Column("count_noised", "int64", "reporters plus discrete Laplace noise; may be negative"),
        Column(
            "noise_scale", "float64", "scale of the discrete Laplace distribution, in reporters"
        ),
        Column("epsilon", "float64", "privacy loss of the whole release for one reporter"),
    ),
    geometry_doc="the group's cells, joined",
)
# Keys of the file's notes: what pages say of the release beside its counts.
HEAD_NOTE = "ledger_head_sha256"  # the ledger's newest line, which records this very table
LINES_NOTE = "ledger_lines"
LIFETIME_NOTE = "epsilon_lifetime"  # of everything released for the region, this one included
YEAR_NOTE = "epsilon_year"  # of the twelve months up to this period's last
SENSITIVITY_NOTE = "sensitivity"
VECTOR_NOTE = "vector"


def counts_sha256(frame: gpd.GeoDataFrame) -> str:
    """Return the SHA-256 of what a table says, whatever wrote the file.

    It leaves out the file's notes: they name the ledger line that holds this very hash.
    """
    digest = hashlib.sha256()
    for row, outline in zip(
        frame[NOISED_COUNTS.column_names].itertuples(index=False, name=None),
        frame.geometry.to_wkb(hex=True),
        strict=True,
    ):
        digest.update(("\t".join([*(str(value) for value in row), outline]) + "\n").encode())
    return digest.hexdigest()
