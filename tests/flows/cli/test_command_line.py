"""All commands of `mopd`, their arguments and what these are where they aren't given."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest
from cyclopts import App

from flows.cli import main
from flows.cli.commands import mopd
from mopd.settings import Settings
from storage.runs import RunFolder

NEEDED = object()
"""The default of what must be given."""
SOURCE = {"SRC": NEEDED, "--reader": None, "--verifier": None, "--packages": "", "--skip-bad": False}
CONTEXTS = {"--variants": (), "--renderings": (), "--orders": (), "--set": (), "--out": None}
COMMANDS: dict[str, dict[str, Any]] = {
    "run": {"CONFIG": NEEDED, "--run": None, "--set": (), "--verbose": False, "--profile": False},
    "plan": {"CONFIG": NEEDED, "--set": (), "--device": None},
    "compare": {"CONFIG": NEEDED, "--vary": NEEDED, "--seeds": 1, "--set": (), "--out": None, "--jobs": 1},
    "fork": {"RUN": NEEDED, "NEW": NEEDED, "--round": NEEDED, "--set": ()},
    "rerun": {"RUN": NEEDED, "--round": None, "--from": None, "--set": (), "--undo": False},
    "condition": {"RUN": NEEDED, "--round": NEEDED, "--set": (), "--variant": None, "--name": None},
    "score": {"RUN": NEEDED, "--round": NEEDED, "--set": (), "--name": NEEDED},
    "reverify": {
        "RUN": NEEDED,
        "--verifier": None,
        "--round": None,
        "--set": (),
        "--again": False,
        "--apply": False,
        "--json": False,
    },
    "analyze signal": {"RUN": NEEDED, "--round": NEEDED, "--reference": None, **CONTEXTS},
    "analyze diversity": {"RUN…": NEEDED, "--out": None},
    "probe": {"CONFIG": NEEDED, "--run": None, "--round": 0, **CONTEXTS},
    "eval": {
        "MODEL…": NEEDED,
        "--tasks": None,
        "--reader": None,
        "--verifier": None,
        "--limit": None,
        "-k": 8,
        "--set": (),
        "--out": None,
    },
    "status": {"RUN": NEEDED, "--json": False, "--watch": False, "--every": None},
    "sql": {
        "RUN… SELECT": inspect.Parameter.empty,
        "--all": False,
        "--list": False,
        "--named": None,
        "--param": (),
        "--format": "table",
    },
    "show": {"RUN": NEEDED, "--round": NEEDED, "--prompt": NEEDED, "--sample": None},
    "report": {"RUN…": NEEDED, "--out": Path("report.html"), "--max-megabytes": None},
    "view": {"RUN…": NEEDED, "--port": None, "--memory": None, "--open": False},
    "trace": {
        "RUN": NEEDED,
        "--round": NEEDED,
        "--prompt": NEEDED,
        "--sample": NEEDED,
        "--settings": False,
        "--json": False,
    },
    "digest": {"RUN": NEEDED},
    "export": {
        "RUN": NEEDED,
        "FOLDER": None,
        "--round": NEEDED,
        "--license": None,
        "--push": None,
        "--private": False,
    },
    "track": {"RUN": NEEDED, "--to": ()},
    "verify": {"RUN": NEEDED, "--json": False},
    "repair": {"RUN": NEEDED},
    "gc": {"RUN": NEEDED, "--keep-policies": None, "--yes": False},
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


def commands(app: App, name: str = "") -> dict[str, dict[str, Any]]:
    """Arguments and defaults by command."""
    if app.default_command is not None:
        arguments = app.assemble_argument_collection()
        return {name: {one.name: NEEDED if one.required else one.field_info.default for one in arguments}}
    parts = [commands(app[word], f"{name} {word}".strip()) for word in app if not word.startswith("-")]
    return {name: arguments for part in parts for name, arguments in part.items()}


def test_no_command_and_no_argument_is_lost() -> None:
    assert commands(mopd) == COMMANDS


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command.split(), "--help"]) == 0
    shown = capsys.readouterr().out
    assert f"Usage: mopd {command}" in shown and "MOPD_TRACEBACK=1" in shown
    assert all(name in shown for name in COMMANDS[command])


def test_the_list_of_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    words = [line.strip("│ ").split(" ")[0] for line in capsys.readouterr().out.splitlines()]
    assert [word for word in words if word in mopd] == [*dict.fromkeys(name.split()[0] for name in COMMANDS), "--help"]


@pytest.mark.parametrize(
    ("words", "arguments"),
    [
        (["run", "a.yaml", "--set", "x=-1", "--set=y=[1, 2]"], {"overrides": ("x=-1", "y=[1, 2]")}),
        (["run", "a.yaml", "--run", "first", "--run", "last"], {"run_dir": Path("last")}),
        (["run", "--verbose", "a.yaml"], {"config": Path("a.yaml"), "verbose": True}),
        (["fork", "parent", "--round", "-1", "--set", "a=b", "new"], {"round": -1, "new": Path("new")}),
        (["sql", "run", "-- all\nFROM updates"], {"asked": ("run", "-- all\nFROM updates"), "format": "table"}),
        (["sql", "run", "FROM x", "--format", "csv"], {"asked": ("run", "FROM x"), "format": "csv"}),
        (["sql", "--all", "a", "b", "FROM x"], {"asked": ("a", "b", "FROM x"), "all": True}),
        (["sql", "a", "--named", "x", "--param", "k=v", "--param", "l="], {"named": "x", "parameters": ("k=v", "l=")}),
        (["eval", "a", "b", "-k4", "--limit", "3"], {"models": ["a", "b"], "k": 4, "limit": 3}),
        (["analyze", "diversity", "a", "b"], {"runs": [Path("a"), Path("b")]}),
        (["probe", "a.yaml", "--variants", "x{n:[1,2]}, y"], {"variants": ("x{n:[1,2]}", "y"), "round": 0}),
        (["compare", "a.yaml", "--vary", "seed=1,2", "--vary", "x=a,b"], {"vary": ("seed=1,2", "x=a,b"), "jobs": 1}),
        (["tasks", "import", "src", "--out", "f", "--hide-tests", "0.5"], {"hide_tests": 0.5, "seed": 0}),
    ],
)
def test_arguments(words: list[str], arguments: dict[str, Any]) -> None:
    _, bound, _ = mopd.parse_args(words, print_error=False, exit_on_error=False)
    bound.apply_defaults()
    assert {name: bound.arguments[name] for name in arguments} == arguments


def test_what_a_command_does_not_take_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fork", "parent", "new", "newer", "newest", "--round", "0"]) == 2
    assert capsys.readouterr().err.startswith("mopd: newer newest: not taken by this command")


def test_an_empty_name_is_a_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    RunFolder.create(tmp_path / "run", {"settings": Settings().model_dump(mode="json")})
    assert main(["condition", str(tmp_path / "run"), "--round", "0", "--variant", "positive", "--name", ""]) == 2
    assert "--name '': must be" in capsys.readouterr().err


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
    assert main(line.split()) == 2
    shown = capsys.readouterr()
    assert not shown.out
    assert shown.err.startswith("mopd: ") and shown.err.count("\n") == 1
