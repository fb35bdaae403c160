"""What of runs goes into a file, how much of it, and how it is packed."""
