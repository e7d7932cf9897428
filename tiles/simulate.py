"""A made-up brick belt with known kilns, for the demo, tests, benchmarks and detector training."""

from tiles.simulation.patch import Patch, simulate_patch

__all__ = ["Patch", "simulate_patch"]
