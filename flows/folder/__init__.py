"""A run on disk: opened, checked, locked, exported; `replay` uses one again under other settings."""
