"""The rooms stay apart: what an import brings along, and which way the arrows point."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("mopd", "storage", "flows")
MAY_IMPORT = {"mopd": {"mopd"}, "storage": {"storage"}, "flows": set(ROOMS)}
FOREIGN = {"mopd": {"prefect", "duckdb"}, "storage": {"prefect", "torch", "transformers", "vllm"}, "flows": {"vllm"}}
ENGINE_MODULE = ROOT / "mopd" / "engines" / "vllm_engine.py"
HEAVY = ("torch", "transformers", "vllm", "prefect")


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
    """All that may run: what stands under TYPE_CHECKING is left out."""
    for node in ast.iter_child_nodes(tree):
        if not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"):
            yield node
            yield from statements(node)


def modules_imported(path: Path, known: set[str]) -> set[str]:
    """Which of the known modules a file imports, also inside functions; the package around a module isn't counted."""
    imported = set()
    for node in statements(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            imported |= names & known or {node.module or ""}
    return imported & known


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
    "name", ["mopd", "mopd.models.folders", "mopd.settings", "storage", "flows", "flows.cli.commands", "flows.doctor"]
)
def test_cheap_imports(name: str) -> None:
    assert loaded_after(f"import {name}", HEAVY) == set()


WRONG_COMMANDS = [
    "run absent",
    "compare absent --vary seed=1,2",
    "fork absent --round 0 new",
    "condition absent --round 0 --name other",
    "score absent --round 0 --name other",
    "status absent",
    "sql absent SELECT",
    "show absent --round 0 --prompt p",
    "digest absent",
    "export absent --round 0 new",
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


@pytest.mark.parametrize("room", ["mopd", "storage"])
def test_no_circles(room: str) -> None:
    known = {*modules_of(room), "mopd.engines.vllm_engine"}
    paths = {name: ROOT / Path(*name.split(".")) for name in known}
    files = {name: path / "__init__.py" if path.is_dir() else path.with_suffix(".py") for name, path in paths.items()}
    try:
        TopologicalSorter({name: modules_imported(path, known) for name, path in files.items()}).prepare()
    except CycleError as error:
        pytest.fail("modules import each other: " + " <- ".join(error.args[1]))


def test_vllm_is_imported_in_one_module() -> None:
    users = [path for room in ROOMS for path in (ROOT / room).rglob("*.py") if "vllm" in imports_of(path)]
    assert users == [ENGINE_MODULE]


def test_no_flow_module_shadows_the_standard_library() -> None:
    names = {path.stem for path in (ROOT / "flows").glob("*.py")} - {"__init__"}
    assert not names & sys.stdlib_module_names


class ModuleImports(ast.NodeVisitor):
    """The modules that a module imports, also inside functions; not what only a type checker imports."""

    def __init__(self, known: set[str]) -> None:
        self.known, self.modules = known, set[str]()

    def visit_If(self, node: ast.If) -> None:
        for child in (
            node.orelse if ast.unparse(node.test) == "TYPE_CHECKING" else [node.test, *node.body, *node.orelse]
        ):
            self.visit(child)

    def visit_Import(self, node: ast.Import) -> None:
        self.modules |= {alias.name for alias in node.names} & self.known

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        submodules = {f"{node.module}.{alias.name}" for alias in node.names} & self.known
        self.modules |= submodules or {str(node.module)} & self.known


def import_graph(files: dict[str, str]) -> dict[str, set[str]]:
    """What each module imports, of the modules that there are; `files`: their text by dotted name."""
    graph = {}
    for name, text in files.items():
        imports = ModuleImports(set(files))
        imports.visit(ast.parse(text))
        graph[name] = imports.modules - {name}
    return graph


def circles(graph: dict[str, set[str]]) -> list[set[str]]:
    """Sets of more than one module in which each leads to each, by Tarjan's algorithm."""
    numbers: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    components: list[set[str]] = []

    def visit(name: str) -> None:
        numbers[name] = lowest[name] = len(numbers)
        stack.append(name)
        for other in sorted(graph[name]):
            if other not in numbers:
                visit(other)
                lowest[name] = min(lowest[name], lowest[other])
            elif other in stack:
                lowest[name] = min(lowest[name], numbers[other])
        if lowest[name] == numbers[name]:
            start = stack.index(name)
            components.append(set(stack[start:]))
            del stack[start:]

    for name in sorted(graph):
        if name not in numbers:
            visit(name)
    return [component for component in components if len(component) > 1]


def test_circles_are_found() -> None:
    files = {
        "a": "import b",
        "b": "def late():\n    from c import name",
        "c": "from a import name",
        "d": "if TYPE_CHECKING:\n    import e\nelse:\n    import a",
        "e": "import d",
        "p": "from p.q import name",
        "p.q": "from p import r",
        "p.r": "from p import name",
    }
    assert sorted(map(sorted, circles(import_graph(files)))) == [["a", "b", "c"], ["p", "p.q", "p.r"]]


def test_no_import_circles() -> None:
    """Modules that import each other can't be read, tested or moved one without the other."""
    paths = {name: ROOT.joinpath(*name.split(".")) for room in ROOMS for name in modules_of(room)}
    files = {name: (path / "__init__.py" if path.is_dir() else path.with_suffix(".py")) for name, path in paths.items()}
    files["mopd.engines.vllm_engine"] = ENGINE_MODULE
    assert circles(import_graph({name: path.read_text() for name, path in files.items()})) == []
