"""All commands of `mopd`, their arguments and what these are where they aren't given."""

from __future__ import annotations

import argparse
from typing import Any

import pytest

from flows.cli import main, parser

NEEDED = object()
"""The default of what must be given."""
SOURCE = {"source": NEEDED, "--reader": None, "--verifier": None, "--packages": "", "--skip-bad": False}
CONTEXTS = {"--variants": None, "--renderings": [], "--orders": [], "--set": [], "--out": None}
COMMANDS: dict[str, dict[str, Any]] = {
    "run": {"config": NEEDED, "--run": None, "--set": [], "--verbose": False},
    "compare": {"config": NEEDED, "--vary": NEEDED, "--seeds": 1, "--set": [], "--out": None, "--jobs": 1},
    "fork": {"run": NEEDED, "new": NEEDED, "--round": NEEDED, "--set": []},
    "condition": {"run": NEEDED, "--round": NEEDED, "--set": [], "--variant": None, "--name": None},
    "score": {"run": NEEDED, "--round": NEEDED, "--set": [], "--name": NEEDED},
    "analyze signal": {"run": NEEDED, "--round": NEEDED, "--reference": None, **CONTEXTS},
    "analyze diversity": {"runs": NEEDED, "--out": None},
    "probe": {"config": NEEDED, "--run": None, "--round": 0, **CONTEXTS},
    "eval": {
        "models": NEEDED,
        "--tasks": None,
        "--reader": None,
        "--verifier": None,
        "--limit": None,
        "-k": 8,
        "--set": [],
        "--out": None,
    },
    "status": {"run": NEEDED, "--json": False},
    "sql": {"run": NEEDED, "query": NEEDED, "--format": "table"},
    "show": {"run": NEEDED, "--round": NEEDED, "--prompt": NEEDED, "--sample": None},
    "digest": {"run": NEEDED},
    "export": {"run": NEEDED, "folder": NEEDED, "--round": NEEDED},
    "tasks import": {
        **SOURCE,
        "--out": NEEDED,
        "--split": None,
        "--hide-tests": None,
        "--seed": 0,
        "--force": False,
    },
    "tasks show": {**SOURCE, "--num": 5},
    "doctor": {},
}


def commands(root: argparse.ArgumentParser, name: str = "") -> dict[str, dict[str, Any]]:
    """Arguments and defaults by command."""
    groups = [action for action in root._actions if isinstance(action, argparse._SubParsersAction)]
    if groups:
        parts = [commands(part, f"{name} {word}".strip()) for word, part in groups[0].choices.items()]
        return {name: arguments for part in parts for name, arguments in part.items()}
    own = [action for action in root._actions if action.dest != "help"]
    return {name: {(one.option_strings or [one.dest])[0]: NEEDED if one.required else one.default for one in own}}


def test_no_command_and_no_argument_is_lost() -> None:
    assert commands(parser()) == COMMANDS


@pytest.mark.parametrize(
    "line",
    [
        "",
        "nonsense",
        "tasks",
        "tasks nonsense",
        "analyze",
        "run",
        "run tiny.yaml more",
        "run tiny.yaml --nonsense",
        "run tiny.yaml --set",
        "run tiny.yaml --run --verbose",
        "fork parent new",
        "fork parent --round 1.5 new",
        "fork parent --round x new",
        "show run --round 0",
        "sql run SELECT --format xml",
        "eval",
        "eval model -k many",
        "probe tiny.yaml --variants ,none",
        "analyze signal run --round 0 --variants none,,success",
    ],
)
def test_wrong_arguments(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(line.split())
    assert end.value.code == 2
    shown = capsys.readouterr()
    assert not shown.out
    assert shown.err.splitlines()[-1].startswith("mopd")
