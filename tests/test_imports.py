"""The rooms stay apart: what an import brings along, and which way the arrows point."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from storage.runs import RunFolder
from tests.storage.storage_samples import commit, make_rows

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("mopd", "storage", "flows")
MAY_IMPORT = {"mopd": {"mopd"}, "storage": {"storage"}, "flows": set(ROOMS)}
FOREIGN = {"mopd": {"prefect", "duckdb"}, "storage": {"prefect", "torch", "transformers", "vllm"}, "flows": {"vllm"}}
ENGINE_MODULE = ROOT / "mopd" / "engines" / "vllm_engine.py"
HEAVY = ("torch", "transformers", "vllm", "prefect")


FLOORS = ("cli", "measure", "run", "execute", "trackers", "viewer", "report", "folder", "plan", "runtime")
"""Rooms of flows/: each may import itself and those behind it. `run` is what stands on the first level."""


def modules_of(room: str) -> list[str]:
    """Dotted names of a room's modules."""
    paths = sorted((ROOT / room).rglob("*.py"))
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in paths if path != ENGINE_MODULE]
    return [name.removesuffix(".__init__") for name in names]


def imports_of(path: Path) -> set[str]:
    """Top-level names that a file imports, also inside functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add((node.module or "").split(".")[0])
    return found


def statements(tree: ast.AST) -> Iterator[ast.AST]:
    """All that may run: what stands under TYPE_CHECKING is left out, what stands in its `else` isn't."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node = ast.Module(node.orelse, [])
        yield node
        yield from statements(node)


def modules_imported(text: str, known: set[str]) -> set[str]:
    """Which of the known modules are imported, also inside functions; the package around a module isn't counted."""
    modules: set[str] = set()
    for node in statements(ast.parse(text)):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names} & known
        elif isinstance(node, ast.ImportFrom):
            submodules = {f"{node.module}.{alias.name}" for alias in node.names} & known
            modules |= submodules or {str(node.module)} & known
    return modules


def loaded_after(code: str, suspects: tuple[str, ...]) -> set[str]:
    """Which suspects a fresh interpreter has in sys.modules after running the code."""
    program = f"import sys\n{code}\nprint(*[name for name in {suspects!r} if name in sys.modules])"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True)
    return set(ended.stdout.split())


def test_mopd_brings_no_workflow_engine_along() -> None:
    code = "\n".join(f"import {name}" for name in modules_of("mopd"))
    assert loaded_after(code, ("prefect", "vllm", "duckdb", "storage", "flows")) == set()


def test_storage_brings_no_model_along() -> None:
    code = "\n".join(f"import {name}" for name in modules_of("storage"))
    assert loaded_after(code, ("prefect", "vllm", "torch", "transformers", "mopd", "flows")) == set()


def test_scoring_and_training_need_torch_transformers_numpy_and_pyarrow_alone() -> None:
    absent = ("pydantic", "prefect", "duckdb", "vllm", "rich", "psutil", "peft", "scipy", "sklearn")
    code = f"sys.modules.update(dict.fromkeys({absent!r}))\nimport mopd.score, mopd.train"
    assert loaded_after(code, ("mopd.train", "mopd.settings")) == {"mopd.train"}


@pytest.mark.parametrize(
    "name",
    [
        "mopd",
        "mopd.models.folders",
        "mopd.settings",
        "storage",
        "flows",
        "flows.cli.commands",
        "flows.cli.actions.doctor",
    ],
)
def test_cheap_imports(name: str) -> None:
    assert loaded_after(f"import {name}", HEAVY) == set()


def test_reading_a_shard_brings_no_pandas_along(tmp_path: Path) -> None:
    """Arrow imports it, a third of a second, for what else converts between its values and Python's."""
    run = RunFolder.create(tmp_path / "run", {"settings": {"seed": 1}})
    commit(run, "scores", make_rows("scores", "run", prompts=("a", "b")))
    code = f"""
from storage.runs import RunFolder
from storage.shards import manifests, read_rows
run = RunFolder.open({str(run.path)!r})
(manifest,) = manifests(run, "scores")
for where in (None, {{"prompt_id": "a"}}, {{"prompt_id": "absent"}}):
    print(len(read_rows(run, manifest, None, where)))
"""
    assert loaded_after(code, ("pandas",)) == {"4", "2", "0"}


WRONG_COMMANDS = [
    "run absent",
    "compare absent --vary seed=1,2",
    "fork absent --round 0 new",
    "rerun absent --round 0 --from score",
    "rerun absent --undo",
    "condition absent --round 0 --name other",
    "score absent --round 0 --name other",
    "reverify absent --verifier math",
    "status absent",
    "sql absent SELECT",
    "show absent --round 0 --prompt p",
    "trace absent --round 0 --prompt p --sample 0",
    "digest absent",
    "export absent --round 0 new",
    "track absent",
    "analyze signal absent --round 0",
    "analyze diversity absent",
    "probe absent",
    "eval absent",
    "tasks show absent",
]


def test_commands_say_what_is_wrong_before_anything_heavy_is_imported() -> None:
    calls = [f"assert main({command.split()}) == 2" for command in WRONG_COMMANDS]
    assert loaded_after("\n".join(["from flows.cli import main", *calls]), HEAVY) == set()


def test_metrics_of_signals_are_cheap_to_import() -> None:
    assert (
        loaded_after("import mopd.measures.signals, mopd.measures.signal_summary", (*HEAVY, "scipy", "sklearn"))
        == set()
    )


@pytest.mark.parametrize("folder", ["benchmarks", "examples", "tools"])
def test_scripts_import_names_that_are_there(folder: str) -> None:
    """Scripts import within functions, which nothing else runs."""
    for path in sorted((ROOT / folder).glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in ROOMS:
                module = importlib.import_module(node.module or "")
                missing = [alias.name for alias in node.names if not hasattr(module, alias.name)]
                assert not missing, f"{path.relative_to(ROOT)} imports {missing} from {node.module}"


@pytest.mark.parametrize("room", ROOMS)
def test_arrows_between_the_rooms(room: str) -> None:
    for path in sorted((ROOT / room).rglob("*.py")):
        found = imports_of(path)
        assert found & set(ROOMS) <= MAY_IMPORT[room], f"{path.relative_to(ROOT)} imports another room"
        assert not found & FOREIGN[room], f"{path.relative_to(ROOT)} imports {found & FOREIGN[room]}"


def import_graph(files: dict[str, str]) -> dict[str, set[str]]:
    """What each module imports, of the modules that there are; `files`: their text by dotted name."""
    return {name: modules_imported(text, set(files)) - {name} for name, text in files.items()}


@pytest.mark.parametrize(
    ("files", "circle"),
    [
        ({"a": "import b", "b": "def late():\n    from c import name", "c": "from a import name"}, {"a", "b", "c"}),
        ({"p": "from p.q import name", "p.q": "from p import r", "p.r": "from p import name"}, {"p", "p.q", "p.r"}),
        ({"d": "if TYPE_CHECKING:\n    import e\nelse:\n    import a", "e": "import d", "a": ""}, None),
    ],
)
def test_circles_are_found(files: dict[str, str], circle: set[str] | None) -> None:
    try:
        TopologicalSorter(import_graph(files)).prepare()
    except CycleError as error:
        assert set(error.args[1]) == circle
    else:
        assert circle is None


def test_no_import_circles() -> None:
    paths = {name: ROOT.joinpath(*name.split(".")) for room in ROOMS for name in modules_of(room)}
    files = {name: (path / "__init__.py" if path.is_dir() else path.with_suffix(".py")) for name, path in paths.items()}
    files["mopd.engines.vllm_engine"] = ENGINE_MODULE
    try:
        TopologicalSorter(import_graph({name: path.read_text() for name, path in files.items()})).prepare()
    except CycleError as error:
        pytest.fail("modules import each other: " + " <- ".join(error.args[1]))


def test_vllm_is_imported_in_one_module() -> None:
    users = [path for room in ROOMS for path in (ROOT / room).rglob("*.py") if "vllm" in imports_of(path)]
    assert users == [ENGINE_MODULE]


def test_no_flow_module_shadows_the_standard_library() -> None:
    names = {path.stem for path in (ROOT / "flows").glob("*.py")} - {"__init__"}
    assert not names & sys.stdlib_module_names


def floor_of(module: str) -> str:
    """The room of flows/ that a module stands in."""
    room = module.split(".")[1]
    return room if room in FLOORS else "run"


def test_arrows_within_flows() -> None:
    modules = set(modules_of("flows")) - {"flows"}
    upwards = []
    for name in sorted(modules):
        path = ROOT.joinpath(*name.split("."))
        text = (path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).read_text()
        floor = FLOORS.index(floor_of(name))
        upwards += [
            f"{name} imports {other}"
            for other in sorted(modules_imported(text, modules))
            if FLOORS.index(floor_of(other)) < floor
        ]
    assert upwards == []


def test_no_room_of_flows_is_crowded() -> None:
    """A stranger reads a folder's list of names at a glance."""
    folders = [folder for folder in (ROOT / "flows").rglob("*") if folder.is_dir() and any(folder.glob("*.py"))]
    assert {
        folder.name: len(list(folder.glob("*.py"))) for folder in folders if len(list(folder.glob("*.py"))) > 14
    } == {}
    top = {path.stem for path in (ROOT / "flows").glob("*.py")}
    assert top == {"__init__", "run", "redo", "command"}


def test_no_two_test_files_have_one_name() -> None:
    """pytest would refuse the second of them, where its folder is no package."""
    names = Counter(path.name for path in (ROOT / "tests").rglob("test_*.py"))
    assert [name for name, count in names.items() if count > 1] == []
