"""The views over a run's tables, one a file. Adding one: its file, and its line in VIEWS."""

from __future__ import annotations

from storage.sql.views.episodes import EPISODES
from storage.sql.views.flips import FLIPS
from storage.sql.views.groups import GROUPS
from storage.sql.views.lineage import LINEAGE
from storage.sql.views.shards import SHARDS
from storage.sql.views.stages import STAGES
from storage.sql.views.tokens import TOKENS

VIEWS = (EPISODES, GROUPS, TOKENS, FLIPS, SHARDS, STAGES, LINEAGE)
"""In an order in which each reads those before it alone."""
