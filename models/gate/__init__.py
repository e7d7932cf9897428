"""The gate in front of a detector: what it is, how it is made, and what it keeps and spares."""
