"""Results that stay: what was found, with machine, date and command, in a file under benchmarks/results."""

from __future__ import annotations

import json
import os
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


def add_result(path: Path, results: list[dict[str, Any]], **said: Any) -> None:
    """Add what this command has found to what others have; `said`: what else there is to know of it."""
    kept = json.loads(path.read_text()) if path.exists() else []
    result = {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": platform.platform(),
        "cores": len(os.sched_getaffinity(0)),
        "command": " ".join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]]),
        **said,
        "results": results,
    }
    path.write_text(json.dumps([*kept, result], indent=2) + "\n")
