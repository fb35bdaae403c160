"""Commands as pages and the terminal show them: they can be copied to a shell."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any


def said_command(what: str, subject: Path, **given: Any) -> str:
    """The command as it was given, for the page: options without a value left out, lists with commas between."""
    words = ["mopd", *what.split(), str(subject)]
    for name, value in given.items():
        if name == "sets":
            words += [word for one in value for word in ("--set", one)]
        elif value not in (None, (), []):
            words += [f"--{name}", ",".join(value) if isinstance(value, list | tuple) else str(value)]
    return shlex.join(words)
