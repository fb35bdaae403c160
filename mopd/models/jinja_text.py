"""Chat templates as text: which arguments one asks for, and how settings are written into one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from mopd.errors import InputError

_GENERATION = re.compile(r"\{%-?\s*(?:end)?generation\s*-?%\}")
"""Marks of transformers around what the assistant says; plain Jinja doesn't know them."""
_GIVEN = {"messages", "add_generation_prompt", "continue_final_message", "raise_exception", "strftime_now"}
"""What whoever renders a template gives it in any case."""


def arguments_of(text: str) -> set[str]:
    """The arguments that a template can be given, beside the messages and the names of special tokens.

    Those are the names that it reads and never sets, and those that it asks whether they are defined. Raises
    InputError for text that is no Jinja template.
    """
    from jinja2 import Environment, TemplateSyntaxError, meta, nodes

    try:
        tree = Environment(extensions=["jinja2.ext.loopcontrols"]).parse(_GENERATION.sub("", text))
        undeclared = meta.find_undeclared_variables(tree)  # filters and tests that don't exist are noticed here
    except TemplateSyntaxError as error:
        raise InputError(f"is no Jinja template (line {error.lineno}: {error.message})") from error
    assigned = {name.name for name in tree.find_all(nodes.Name) if name.ctx == "store"}
    tests = [test.node for test in tree.find_all(nodes.Test) if test.name in ("defined", "undefined")]
    defaults = [filtered.node for filtered in tree.find_all(nodes.Filter) if filtered.name in ("default", "d")]
    optional = {node.name for node in (*tests, *defaults) if isinstance(node, nodes.Name)}
    return undeclared & ((undeclared - assigned) | optional) - _GIVEN


def with_defaults(text: str, arguments: Mapping[str, Any], system_prompt: str | None) -> str:
    """The template with these arguments where none are given, and the system prompt where no message has one.

    Whoever renders it needs no settings: it stands beside a policy's weights.
    """
    lines = [  # Python's literals are Jinja's
        f"{{% if {name} is not defined %}}{{% set {name} = {value!r} %}}{{% endif %}}\n"
        for name, value in arguments.items()
    ]
    if system_prompt is not None:
        message = {"role": "system", "content": system_prompt}
        no_system = "messages | selectattr('role', 'equalto', 'system') | list | length == 0"
        lines.append(f"{{% if {no_system} %}}{{% set messages = [{message!r}] + messages %}}{{% endif %}}\n")
    return "".join(lines) + text
