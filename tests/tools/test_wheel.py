"""Promise: what is built of the project has all that its code reads beside itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

ROOT = Path(__file__).resolve().parents[2]


def test_the_wheel_that_is_built_from_the_sdist_has_every_file_of_the_packages(tmp_path: Path) -> None:
    """Takes 5 s. The other files too: queries, scripts and styles, which no import names."""
    uv = Path(sys.executable).with_name("uv")
    options = ["--no-build-isolation", "--offline", "--no-config", "--python", sys.executable, "--out-dir", tmp_path]
    subprocess.run([uv, "build", "--quiet", *options, ROOT], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    files = {
        str(path.relative_to(ROOT))
        for package in ("mopd", "flows", "storage")
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert any(name.endswith(".sql") for name in files)
    assert files - set(ZipFile(wheel).namelist()) == set()
