"""Making what is missing: Prefect flows and steps of the stages, and the jobs of worker processes."""
