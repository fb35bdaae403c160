"""Property tests without a clock and without a folder of their own: machines are shared, and runs repeat."""

from hypothesis import settings

settings.register_profile("repeatable", deadline=None, derandomize=True, database=None)
settings.load_profile("repeatable")
