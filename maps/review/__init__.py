"""People look at places: what they are asked, what they decided, and what follows from it."""
