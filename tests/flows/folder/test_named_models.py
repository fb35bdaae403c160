"""A model that has a name is made in a process of its own, and what that says reaches the user."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from flows.folder.named_models import model_paths
from mopd.models.embedded.names import EMBEDDED_MODEL
from mopd.settings import parse_settings

MAKE_TWICE = """
from flows.folder.named_models import make_models
if __name__ == "__main__":
    make_models(["tiny:llama", "/no/such/folder", "tiny:llama"])
    make_models(["tiny:llama"])
"""


def test_what_is_made_is_seen_once(tmp_path: Path) -> None:
    script = tmp_path / "make.py"
    script.write_text(MAKE_TWICE)
    root = Path(__file__).parents[3]
    made = subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"MOPD_CACHE": str(tmp_path / "cache"), "PYTHONPATH": str(root)},
    )
    folder = tmp_path / "cache" / "tiny-llama-2"
    lines = [line for line in made.stderr.splitlines() if line.startswith("mopd: ")]
    assert lines[0] == f"mopd: making tiny:llama in {folder} (once)"
    assert lines[1].startswith("mopd: made tiny:llama in ")
    assert len(lines) == 2
    assert (folder / "config.json").is_file()


def test_student_and_external_teacher_are_models() -> None:
    external = {"train": {"teacher": {"kind": "external", "path": "org/name"}}}
    assert model_paths(parse_settings(external)) == [EMBEDDED_MODEL, "org/name"]
    assert model_paths(parse_settings({"model": {"path": "tiny:llama"}})) == ["tiny:llama"]
