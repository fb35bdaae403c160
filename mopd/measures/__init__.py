"""What can be measured of a run: teacher signals, diversity, what contexts give, comparisons of arms."""
