"""Models: where weights come from, how they are read over trees of rollouts, what a teacher is made of."""
