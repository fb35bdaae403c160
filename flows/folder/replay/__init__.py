"""A run used again under other settings: forked, redone in place, shown to other teachers; docs/replay.md."""
