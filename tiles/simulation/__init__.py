"""The parts of the made-up brick belt; tiles.simulate is the way in."""
