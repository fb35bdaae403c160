"""The verifier of Reasoning Gym's puzzles: its scorers, and those that are replaced."""
