"""Readers of labelled imagery, one module a format; all of them give `models.chips.Picture`s."""
