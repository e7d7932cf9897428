"""From samples to weights: the loop, its samples, its checkpoints and its curves."""
