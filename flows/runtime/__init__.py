"""What everything runs in: workers, Prefect's server, signals, progress, the end of a command."""
