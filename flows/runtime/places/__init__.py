"""Where a run's processes are: what a place promises (`base`), and the places there are (`open`)."""
