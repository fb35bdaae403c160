"""Writes docs/settings.md from the settings classes: names, types, defaults and meaning, nothing kept twice.

python tools/settings_page.py [--check]
"""

from __future__ import annotations

import re
import sys
import types
import typing
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from mopd.settings import Settings  # noqa: E402
from mopd.settings.docstrings import docstrings  # noqa: E402

PAGE = ROOT / "docs" / "settings.md"
INTRODUCTION = """# Settings

One tree, read from YAML; `mopd run CONFIG --set train.learning_rate=1e-5` overrides single values, and what was
resolved is kept in the run's `run.json`. Unknown names and impossible combinations are refused before anything starts.
A setting of several kinds may be given as the name of a kind alone: `variant: positive` is `variant: {kind: positive}`.
`make docs` writes this page from the classes in `mopd/settings/`.
"""


def main() -> int:
    """Write the page; with --check, say whether it is up to date instead."""
    text = INTRODUCTION + "".join(section(Settings, ""))
    if "--check" in sys.argv[1:]:
        return 0 if PAGE.exists() and PAGE.read_text() == text else 1
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(text)
    return 0


def section(model: type[BaseModel], prefix: str) -> list[str]:
    """A table of the model's own values, then its parts."""
    title = prefix.rstrip(".") or "The run"
    kind = get_args(model.model_fields["kind"].annotation) if "kind" in model.model_fields else ()
    title += f", kind {' or '.join(kind)}" if kind else ""
    summary = (model.__doc__ or "").strip().splitlines()[0]
    rows, parts = [], []
    for name, field in model.model_fields.items():
        models = models_in(field.annotation)
        if models:
            parts += [text for one in models for text in section(one, f"{prefix}{name}.")]
        else:
            values = type_name(field.annotation, field.metadata)
            said = meaning(docstrings(model).get(name, ""))
            rows.append(f"| `{prefix}{name}` | {values} | {default(field)} | {said} |\n")
    table = ["\n| setting | values | default | meaning |\n| --- | --- | --- | --- |\n", *rows] if rows else []
    return [f"\n## {title}\n\n{summary}\n", *table, *parts]


def models_in(annotation: Any) -> list[type[BaseModel]]:
    """The settings classes that a field may hold."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in models_in(argument)]


def type_name(annotation: Any, metadata: list[Any]) -> str:
    """Values a setting takes, in words."""
    if get_origin(annotation) is typing.Annotated:
        annotation, *metadata = get_args(annotation)
        metadata = [item for one in metadata for item in getattr(one, "metadata", [one])]
    if get_origin(annotation) is Literal:
        return " or ".join(f"`{value}`" for value in get_args(annotation))
    if get_origin(annotation) in (types.UnionType, typing.Union):
        return " or ".join(type_name(argument, metadata) for argument in get_args(annotation))
    if get_origin(annotation) is tuple:
        return "list of " + type_name(get_args(annotation)[0], [])
    if get_origin(annotation) is dict:
        return "mapping"
    name = {type(None): "null", str: "text", int: "integer", float: "number", bool: "true or false"}[annotation]
    return name + (bounds(metadata) if annotation in (int, float) else "")


def bounds(metadata: list[Any]) -> str:
    """>= 0, <= 1 and the like."""
    signs = (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<"))
    found = [
        f"{sign} {value:g}"
        for one in metadata
        for name, sign in signs
        if (value := getattr(one, name, None)) is not None
    ]
    return f" ({', '.join(found)})" if found else ""


def default(field: Any) -> str:
    """The default, or that there is none."""
    if field.default is PydanticUndefined:
        return "required"
    value = list(field.default) if isinstance(field.default, tuple) else field.default
    if isinstance(value, str):
        return f"`{value.encode('unicode_escape').decode()}`"
    return "null" if value is None else f"`{str(value).lower() if isinstance(value, bool) else value}`"


def meaning(docstring: str) -> str:
    """A field's docstring on one line, with links to the pages that it names."""
    text = " ".join(docstring.split()).replace("|", "\\|")
    return re.sub(r"docs/(\w+\.md)", r"[\1](\1)", text)


if __name__ == "__main__":
    sys.exit(main())
