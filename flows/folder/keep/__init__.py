"""Keeping a run whole, and small: what is wrong with it, what can be made again, what can go."""
