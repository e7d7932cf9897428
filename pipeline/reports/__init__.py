"""Crowd reports: the only rooms that see them; what leaves is one table of noised counts."""
