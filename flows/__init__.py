"""When things run: Prefect flows and steps, and the command line. Thin: plans, calls mopd, hands rows to storage."""
