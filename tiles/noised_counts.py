"""The table of noised counts: all that leaves the reports, a row a group, industry, period."""

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
