"""A report: text, tables and figures in the order of its page, and all its numbers for CSV."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows.report.figure import Figure
from flows.report.table import Table
from mopd.errors import InputError
from storage.json_files import parse_json
from storage.stores.files import write_files

FORMAT_NAME = "mopd-measure"
FORMAT = f"{FORMAT_NAME} 1"
"""What the JSON of a report begins with."""

Part = str | Table | Figure
"""A paragraph of Markdown, a table, a figure."""


@dataclass(frozen=True)
class Report:
    """What was measured, for people and for programs."""

    title: str
    parts: Sequence[Part]
    """The page under its title."""
    brief: Sequence[str | Table]
    """What a terminal shows of it."""
    numbers: Table
    """Every number in full."""
    name: str = "results"
    """Of its files."""

    @property
    def figures(self) -> list[Figure]:
        """The figures of the page."""
        return [part for part in self.parts if isinstance(part, Figure)]

    def terminal(self) -> str:
        """The short form, as plain text."""
        return "\n\n".join(part.terminal() if isinstance(part, Table) else part for part in self.brief if part)

    def page(self) -> str:
        """The whole of it in Markdown, which shows pictures that lie beside it."""
        return _markdown([f"# {self.title}", *self.parts])

    def document(self) -> dict[str, Any]:
        """The page as JSON: texts as they are, tables with their numbers, figures in Vega-Lite."""
        parts = [_part_document(part) for part in self.parts if part]
        return {"format": FORMAT, "name": self.name, "title": self.title, "parts": parts}

    def write(self, folder: Path) -> str:
        """Write the page, the table of all numbers and the pictures, each whole; returns their names in a line."""
        files = {f"{self.name}.md": self.page().encode(), f"{self.name}.csv": self.numbers.csv().encode()}
        files[f"{self.name}.json"] = json.dumps(self.document(), ensure_ascii=False).encode()
        files |= {figure.name: figure.png() for figure in self.figures}
        write_files(folder, files)
        return ", ".join(files)

    def publish(self, key: str, description: str, parts: Sequence[Part] | None = None) -> None:
        """Make the page, or some parts of it, an artifact in the Prefect UI, which has no pictures."""
        from prefect.artifacts import create_markdown_artifact

        shown = [f"# {self.title}", *self.parts] if parts is None else parts
        text = _markdown([part for part in shown if not isinstance(part, Figure)])
        create_markdown_artifact(key=key, markdown=text, description=description)


def read_reports(folder: Path) -> list[dict[str, Any]]:
    """What `Report.write` left in a folder, as `Report.document` gives it, by name; empty for a folder without any.

    Raises InputError for a report that is damaged, or of another version.
    """
    return [report for path in sorted(folder.glob("*.json")) if (report := _read(path)) is not None]


def _read(path: Path) -> dict[str, Any] | None:
    """None for a file that is no report, such as a run's own."""
    text = path.read_text(errors="replace")
    if f'{{"format": "{FORMAT_NAME}' not in text[:100]:
        return None
    try:
        report: dict[str, Any] = parse_json(text)
    except ValueError as error:
        raise InputError(f"{path}: is damaged ({error}); measure again") from error
    if report["format"] != FORMAT:
        raise InputError(f"{path}: is a report of another version of mopd; measure again")
    return report


def machine() -> str:
    """The machine that numbers of speed are of."""
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"


def _markdown(parts: Sequence[Part]) -> str:
    return "\n\n".join(_part_markdown(part) for part in parts if part) + "\n"


def _part_document(part: Part) -> dict[str, Any]:
    if isinstance(part, Table):
        return {"table": part.document()}
    return {"figure": part.specification(), "alt": part.alt} if isinstance(part, Figure) else {"text": part}


def _part_markdown(part: Part) -> str:
    if isinstance(part, Table):
        return part.markdown()
    return f"![{part.alt}]({part.name})" if isinstance(part, Figure) else part
