"""Where storage says what a user should know and need not act on."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

LOGGER = logging.getLogger("mopd.storage")


@contextmanager
def silenced() -> Iterator[None]:
    """Without the warnings of whoever comes upon what is damaged: for commands that tell of it themselves, once."""
    was_disabled, LOGGER.disabled = LOGGER.disabled, True
    try:
        yield
    finally:
        LOGGER.disabled = was_disabled
