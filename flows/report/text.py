"""Plain text tables, and how missing numbers are shown."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

Cell = str | int | float | None
MISSING = "-"


def percent(part: int, total: int) -> str | None:
    """25.0 %; None of nothing."""
    return f"{100 * part / total:.1f} %" if total else None


def number(value: float | None, digits: int = 4) -> str | None:
    """A number with so many significant digits; None stays None."""
    return None if value is None else f"{value:.{digits}g}"


def minute(created: str) -> str:
    """Of a time as ISO 8601 has it, day and minute."""
    return created[:16].replace("T", " ")


def span(numbers: Sequence[int]) -> str:
    """Numbers in order: those that follow each other by the first and the last, others each."""
    if len(numbers) > 2 and numbers[-1] - numbers[0] == len(numbers) - 1:
        return f"{numbers[0]} to {numbers[-1]}"
    return ", ".join(map(str, numbers))


def finite(value: Any) -> Any:
    """The value with None for what JSON has no number for."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def text_table(rows: Sequence[dict[str, Cell]]) -> str:
    """Aligned columns, headed by the names in all rows."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    return "\n".join(text_lines(names, [[row.get(name) for name in names] for row in rows]))


def text_lines(headings: Sequence[str], rows: Sequence[Sequence[Cell]]) -> list[str]:
    """Aligned columns; numbers and percentages to the right, `-` for what is missing."""
    cells = [[_text(cell) for cell in row] for row in rows]
    widths = [max([len(name), *(len(line[index]) for line in cells)]) for index, name in enumerate(headings)]
    right = [all(_numeric(line[index]) for line in cells) for index in range(len(headings))]

    def align(line: Sequence[str]) -> str:
        pairs = zip(line, widths, right, strict=True)
        return "  ".join(cell.rjust(width) if flush else cell.ljust(width) for cell, width, flush in pairs).rstrip()

    return [align(headings), align(["-" * width for width in widths]), *map(align, cells)]


def _text(cell: Cell) -> str:
    if cell is None:
        return MISSING
    if isinstance(cell, float):
        return f"{cell:.6g}"
    return f"{cell:,}" if isinstance(cell, int) and not isinstance(cell, bool) else str(cell)


def _numeric(cell: str) -> bool:
    return cell == MISSING or cell[:1].isdigit() or (cell[:1] in "-+" and cell[1:2].isdigit())
