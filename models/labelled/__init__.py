"""Labelled imagery, read from what people keep it in, and divided by place."""
