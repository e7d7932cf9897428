"""What a detector is worth on places it never saw, in figures and pictures."""
