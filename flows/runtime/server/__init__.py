"""Prefect's server, as a run needs it: its own or the user's, away for a while; and what a killed run left there."""
