"""One config in several ways, and which does better."""
