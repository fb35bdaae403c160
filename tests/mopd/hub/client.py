"""A process that loads a model or a data set by name: the hub's client reads the environment once, at its import.

python -m tests.mopd.hub.client NAME [ALLOW_PICKLED]: writes what came of it as JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mopd.errors import InputError
from mopd.hub.names import dataset_name, model_name
from mopd.hub.views import view_folder
from mopd.models.hub import fetch_model
from mopd.tasks.hub import fetch_dataset, rows_file

ROOT = Path(__file__).parents[3]


def hub_environment(url: str, home: Path, **variables: str) -> dict[str, str]:
    """The environment of a user whose hub is at `url` and whose caches are in `home`."""
    unset = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_HUB_CACHE", "HF_HUB_OFFLINE", "HF_DATASETS_CACHE")
    kept = {name: value for name, value in os.environ.items() if name not in unset}
    caches = {"HF_HOME": str(home / "hf"), "MOPD_CACHE": str(home / "mopd")}
    local = {"HF_ENDPOINT": url, "NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1,localhost"}
    return {**kept, **caches, **local, "HF_HUB_DISABLE_TELEMETRY": "1", **variables}


@dataclass(frozen=True)
class Fetched:
    """What came of it."""

    name: str
    """Pinned."""
    folder: Path
    """Of a model; of a data set, the file with its rows."""
    error: str
    progress: list[dict[str, Any]]
    printed: str


def fetch(name: str, url: str, home: Path, *, allow_pickled: bool = False, **variables: str) -> Fetched:
    """Load a model or a data set in a process of its own."""
    command = [sys.executable, "-m", "tests.mopd.hub.client", name, *(["pickled"] if allow_pickled else [])]
    environment = hub_environment(url, home, **variables)
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    return Fetched(answer["name"], Path(answer["folder"]), answer["error"], answer["progress"], done.stderr)


def main(name: str, *pickled: str) -> None:
    """Load, and say what came of it."""
    progress: list[dict[str, Any]] = []
    answer = {"name": "", "folder": "", "error": "", "progress": progress}
    try:
        if (dataset := dataset_name(name)) is not None:
            pinned = fetch_dataset(dataset, "tasks.train", progress=progress.append)
            answer |= {"name": str(pinned), "folder": str(rows_file(pinned))}
        else:
            model = model_name(name)
            assert model is not None, f"{name} is no name of the hub"
            pinned = fetch_model(model, "model.path", allow_pickled=bool(pickled), progress=progress.append)
            answer |= {"name": str(pinned), "folder": str(view_folder(pinned))}
    except InputError as error:
        answer["error"] = str(error)
    print(json.dumps(answer))


if __name__ == "__main__":
    main(*sys.argv[1:])
