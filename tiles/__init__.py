"""Imagery to blocks of pixels, the equal-area grid of cells, and coverage: the bottom layer."""
