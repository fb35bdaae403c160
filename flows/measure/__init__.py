"""What is asked of runs: contexts, comparisons of settings, diversity, evaluations; a folder a question."""
