"""Questions that have a name: the files of `queries/`, one statement each, whose first lines say what it answers.

    -- One line for lists.
    -- More lines, for whoever reads it.
    -- param limit integer = 20: at most so many
    -- param a run: needed, as it has no default; the name of one of the runs that are asked

A parameter is bound to `$limit` in the statement, never written into it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Any

from storage.errors import StorageError

ENDING = ".sql"
_PARAMETER = re.compile(r"param (?P<name>\w+) (?P<kind>\w+)(?: = (?P<default>.*?))?: (?P<about>.*)")
_NEEDED = object()
"""The default of a parameter that has none."""


def _boolean(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError
    return text == "true"


_KINDS: dict[str, Callable[[str], Any]] = {
    "integer": int,
    "number": float,
    "boolean": _boolean,
    "text": str,
    "run": str,
}


@dataclass(frozen=True)
class Parameter:
    """What a named query is told."""

    name: str
    kind: str
    about: str
    default: Any = _NEEDED

    @property
    def is_needed(self) -> bool:
        """Whether it has no default."""
        return self.default is _NEEDED

    @property
    def default_text(self) -> str | None:
        """As lists and forms show it; None where it has none."""
        return None if self.is_needed else _show(self.default)

    def __str__(self) -> str:
        """As lists show it."""
        return f"{self.name} ({self.kind})" if self.is_needed else f"{self.name}={self.default_text}"

    def read(self, text: str, query: str) -> Any:
        """Its value; `null` is none. Raises StorageError for what is no value of its kind."""
        if text == "null":
            return None
        try:
            return _KINDS[self.kind](text)
        except ValueError:
            kind = "true or false" if self.kind == "boolean" else f"of kind {self.kind}"
            raise StorageError(f"{query}: parameter {self.name} is {kind}, and {text!r} isn't") from None


@dataclass(frozen=True)
class NamedQuery:
    """A statement with a name."""

    name: str
    about: str
    """One line."""
    sql: str
    parameters: dict[str, Parameter] = field(default_factory=dict)

    def bind(self, given: Mapping[str, str], runs: Collection[str]) -> dict[str, Any]:
        """The value of each parameter. Raises StorageError for one that is missing, unknown or of another kind.

        `runs`: the names of those that are asked.
        """
        known = ", ".join(self.parameters) or "none"
        for name in given:
            if name not in self.parameters:
                raise StorageError(f"{self.name}: no parameter {name}{_hint(name, self.parameters)}; it takes {known}")
        missing = [name for name, one in self.parameters.items() if one.is_needed and name not in given]
        if missing:
            about = self.parameters[missing[0]].about
            raise StorageError(f"{self.name}: parameter {missing[0]} is missing ({about}); --param {missing[0]}=…")
        for name, one in self.parameters.items():
            if one.kind == "run" and given.get(name, "null") not in (*runs, "null"):
                hint = _hint(given[name], runs)
                raise StorageError(f"{self.name}: {name}={given[name]} is none of the runs{hint}: {', '.join(runs)}")
        return {
            name: one.read(given[name], self.name) if name in given else one.default
            for name, one in self.parameters.items()
        }


def list_queries() -> list[NamedQuery]:
    """All of them, by name."""
    there = [file for file in files("storage.sql").joinpath("queries").iterdir() if file.name.endswith(ENDING)]
    return [_parse(file.name.removesuffix(ENDING), file.read_text("utf-8")) for file in sorted(there, key=str)]


def find_query(name: str) -> NamedQuery:
    """The query of that name, or, of one that ends in .sql, in that file. StorageError where there is none."""
    if name.endswith(ENDING):
        return _read_file(Path(name))
    queries = {query.name: query for query in list_queries()}
    if name not in queries:
        raise StorageError(f"no query is named {name}{_hint(name, queries)}; --list shows all")
    return queries[name]


def _read_file(path: Path) -> NamedQuery:
    try:
        return _parse(path.name.removesuffix(ENDING), path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise StorageError(f"{path}: can't be read ({error})") from error


def _parse(name: str, text: str) -> NamedQuery:
    """A file's content. Raises StorageError for a parameter that nobody can give."""
    head = [line.removeprefix("--").strip() for line in text.splitlines() if line.startswith("--")]
    lines = [line for line in head if not line.startswith("param ")]
    parameters = [_parse_parameter(name, line) for line in head if line.startswith("param ")]
    return NamedQuery(name, lines[0] if lines else "", text, {one.name: one for one in parameters})


def _parse_parameter(query: str, line: str) -> Parameter:
    found = _PARAMETER.fullmatch(line)
    if found is None or found["kind"] not in _KINDS:
        raise StorageError(
            f"{query}: {line!r} is no parameter; write: param NAME {'|'.join(_KINDS)} = DEFAULT: meaning"
        )
    parameter = Parameter(found["name"], found["kind"], found["about"])
    if found["default"] is None:
        return parameter
    default = parameter.read(found["default"].strip('"'), query)
    return Parameter(parameter.name, parameter.kind, parameter.about, default)


def _show(value: Any) -> str:
    """As `Parameter.read` takes it."""
    if isinstance(value, bool):
        return str(value).lower()
    return "null" if value is None else repr(value) if value == "" else str(value)


def _hint(name: str, known: Collection[str]) -> str:
    close = get_close_matches(name, known, n=1)
    return f" (did you mean {close[0]}?)" if close else ""
