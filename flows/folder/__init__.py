"""A run on disk: opened, checked, locked, forked, exported, and what may be made beside it."""
