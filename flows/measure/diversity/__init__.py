"""How varied a run's replies are."""
