"""Prints what CHANGELOG.md says of a version: the text of its release.

python tools/release_notes.py VERSION
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


class ReleaseError(Exception):
    """What stands in the way of a release, in one line."""


def main() -> int:
    """Print the notes; exit code 2 and one line where there are none, or pyproject.toml is of another version."""
    version = sys.argv[1] if len(sys.argv) == 2 else ""
    try:
        check_version(version, (ROOT / "pyproject.toml").read_text())
        print(release_notes(version, (ROOT / "CHANGELOG.md").read_text()))
    except ReleaseError as error:
        print(f"release: {error}", file=sys.stderr)
        return 2
    return 0


def check_version(version: str, project: str) -> None:
    """Raises ReleaseError where the text of pyproject.toml says another version."""
    own = tomllib.loads(project)["project"]["version"]
    if version != own:
        raise ReleaseError(f"pyproject.toml is of version {own}, not {version or '(none given)'}")


def release_notes(version: str, changelog: str) -> str:
    """The text under the heading `## VERSION, DATE`, up to the next version's.

    Raises ReleaseError where there is no such heading, it has no date, or nothing stands under it.
    """
    sections = re.split(r"^## ", changelog, flags=re.MULTILINE)[1:]
    found = [section for section in sections if re.match(rf"{re.escape(version)}(,|$)", section.splitlines()[0])]
    if not found:
        raise ReleaseError(f"CHANGELOG.md has no heading '## {version}, DATE'")
    heading, _, text = found[0].partition("\n")
    if not re.fullmatch(r"[^,]+, \d{4}-\d\d-\d\d", heading):
        raise ReleaseError(f"CHANGELOG.md: '## {heading}' has no date; write '## {version}, YEAR-MONTH-DAY'")
    if not text.strip():
        raise ReleaseError(f"CHANGELOG.md says nothing under '## {heading}'")
    return text.strip()


if __name__ == "__main__":
    sys.exit(main())
