"""Which fenced block of a reply is its program.

1. A block that is never closed is none, nor is one inside <think>, a transcript (`>>> f(1)`), or one whose info string
   names something else than Python. A block without a name, or with one that says nothing (`code`), may be Python.
2. Of those labelled Python, else of the others, the last that defines what is asked for: the function, the class, or
   `class Solution` with that method; for a program that is run whole, the last that reads its input, else the last
   that prints. One that is no Python, or a stub (`def f(x): ...`), counts where there is no better. Where no block does
   so, the last one is taken.
3. What that block uses and neither defines nor imports comes from the reply's other blocks, the nearest before it
   first: these definitions, imports and assignments alone are put before it.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from functools import cached_property

from mopd.verifiers.code.script_names import BUILT_IN, defined, loaded
from mopd.verifiers.parsing import NOT_PYTHON, parse
from mopd.verifiers.reply import without_thinking

PYTHON = {"python", "py", "python2", "python3", "py2", "py3", "pypy", "pypy3", "cpython", "ipython", "sage"}
OTHERS_TEXT = """
    text txt plain plaintext none output out stdout input in stdin result results log logs error traceback trace console
    terminal shell sh bash zsh fish cmd bat powershell ps1 pycon repl doctest json jsonc json5 jsonl yaml yml toml ini
    cfg conf env xml html css svg csv tsv sql md markdown rst tex latex math diff patch makefile cmake dockerfile docker
    mermaid dot graphviz c h cpp c++ cc cxx hpp objc cs csharp c# fsharp f# java kotlin kt scala groovy js javascript
    jsx mjs node ts typescript tsx go golang rust rs ruby rb php perl pl lua r julia jl matlab octave haskell hs ocaml
    ml swift dart elixir ex erlang erl clojure clj lisp scheme racket prolog fortran pascal delphi ada cobol nim zig vb
    asm assembly nasm wasm solidity verilog vhdl pseudo pseudocode pseudo-code algorithm ebnf bnf regex http url example
"""
OTHERS = frozenset(OTHERS_TEXT.split())
"""What is no program in Python."""

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
BINDINGS = (*FUNCTIONS, ast.ClassDef, ast.Assign, ast.AnnAssign, ast.Import, ast.ImportFrom)

_FENCE = re.compile(r"(?P<indent>[ \t]*)(?P<mark>`{3,}|~{3,})(?P<info>.*)")
_LABEL = re.compile(r"[\w+#-]+")
_READS = re.compile(r"\b(?:input\s*\(|stdin\b|open\s*\(\s*0\b|fileinput\b|os\.read\s*\()")
_FEEDS = re.compile(r"\bstdin\s*=\s*(?:io\.)?StringIO\b")
_PRINTS = re.compile(r"\bprint\s*\(|\bstdout\b")


@dataclass(frozen=True)
class Block:
    """A closed fenced block, less the indentation of its fence."""

    info: str
    text: str

    @cached_property
    def label(self) -> str:
        """What the info string names, in small letters: its first word, or the ending of a file's name."""
        word = self.info.strip().lower().strip("{}. ")
        file = re.search(r"\.(py|txt|json|sh|cpp|c|java|js|md|ya?ml)\b", word)
        language = _LABEL.search(word)
        return file[1] if file and (language is None or language[0] not in PYTHON) else language[0] if language else ""

    @cached_property
    def module(self) -> ast.Module | None:
        """The block as Python; None where it is none."""
        try:
            return parse(self.text)
        except NOT_PYTHON:
            return None

    @property
    def may_be_program(self) -> bool:
        """Whether it can be a program at all."""
        return bool(self.text.strip()) and self.label not in OTHERS and not self.text.lstrip().startswith(">>> ")

    @cached_property
    def bindings(self) -> list[tuple[ast.stmt, set[str]]]:
        """What binds names at its top, and which."""
        body = self.module.body if self.module is not None else []
        return [(node, _bound(node)) for node in body if isinstance(node, BINDINGS)]

    def defines(self, function: str) -> bool:
        """Whether it defines a function, a class, or `class Solution` with that method."""
        names = {name for _, bound in self.bindings for name in bound}
        if self.module is None:
            names = set(re.findall(r"^(?:async[ \t]+)?(?:def|class)[ \t]+(\w+)", self.text, re.MULTILINE))
        method = re.compile(rf"^[ \t]+(?:async[ \t]+)?def[ \t]+{re.escape(function)}\b", re.MULTILINE)
        return function in names or ("Solution" in names and method.search(self.text) is not None)

    def is_complete(self, function: str | None) -> bool:
        """Whether it is Python, and no stub of the function."""
        if self.module is None:
            return False
        definitions = [node for node in ast.walk(self.module) if isinstance(node, FUNCTIONS) and node.name == function]
        return not definitions or not all(_does_nothing(statement) for node in definitions for statement in node.body)


def find_program(text: str, function: str | None = None) -> str | None:
    """The program of a reply that defines `function`, or that is run whole, as its blocks stand; None when there is
    none. The rules are this module's."""
    blocks = [block for block in fenced_blocks(without_thinking(text)) if block.may_be_program]
    labelled = [block for block in blocks if block.label in PYTHON]
    unlabelled = [block for block in blocks if block.label not in PYTHON]
    chosen = _fitting(labelled, function) or _fitting(unlabelled, function)
    chosen = chosen or next(reversed(labelled), None) or next(reversed(unlabelled), None)
    return None if chosen is None else _with_what_it_uses(chosen, blocks)


def _fitting(blocks: list[Block], function: str | None) -> Block | None:
    """The last block that does what is asked for; one that is no Python only where there is no other."""
    if function is not None:
        fitting = [block for block in blocks if block.defines(function)]
    else:
        fitting = [block for block in blocks if _READS.search(block.text) and not _FEEDS.search(block.text)]
        fitting = fitting or [block for block in blocks if _PRINTS.search(block.text)]
    return next((block for block in reversed(fitting) if block.is_complete(function)), next(reversed(fitting), None))


def _with_what_it_uses(chosen: Block, blocks: list[Block]) -> str:
    """The block, after what it lacks from the others: imports, then the rest in the reply's order."""
    at = next(number for number, block in enumerate(blocks) if block is chosen)
    order = [*reversed(range(at)), *range(at + 1, len(blocks))]
    taken: dict[tuple[bool, int, int], str] = {}
    lacking = _lacks(chosen.module) if chosen.module is not None else set()
    known: set[str] = set()
    while lacking - known:
        name = min(lacking - known)
        known.add(name)
        binding = next((pair for number in order if (pair := _binding(blocks[number], name)) is not None), None)
        if binding is not None:
            block, node = binding
            taken[not isinstance(node, (ast.Import, ast.ImportFrom)), blocks.index(block), node.lineno] = _cut_text(
                block, node
            )
            lacking |= _lacks(ast.Module([node], []))
    return "".join(text for _, text in sorted(taken.items())) + chosen.text


def _binding(block: Block, name: str) -> tuple[Block, ast.stmt] | None:
    """The last statement at the block's top that binds the name."""
    return next(((block, node) for node, bound in reversed(block.bindings) if name in bound), None)


def _cut_text(block: Block, node: ast.stmt) -> str:
    first = min([node.lineno, *(decorator.lineno for decorator in getattr(node, "decorator_list", []))])
    return "\n".join(block.text.split("\n")[first - 1 : node.end_lineno]) + "\n"


def _lacks(module: ast.Module) -> set[str]:
    """Names that it reads and nothing in it defines."""
    own = defined(module)
    return set() if "*" in own else loaded(module) - own - BUILT_IN


def _bound(node: ast.stmt) -> set[str]:
    return {node.name} if isinstance(node, (*FUNCTIONS, ast.ClassDef)) else defined(node)


def _does_nothing(node: ast.stmt) -> bool:
    return isinstance(node, ast.Pass) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))


def fenced_blocks(text: str) -> list[Block]:
    """The closed fenced blocks, ``` or ~~~, in their order."""
    blocks: list[Block] = []
    fence: re.Match[str] | None = None
    lines: list[str] = []
    for line in text.split("\n"):  # splitlines() would also break at a form feed
        mark = _FENCE.fullmatch(line)
        if fence is None:
            if mark and "`" not in mark["info"]:
                fence, lines = mark, []
        elif mark and _closes(mark, fence):
            blocks.append(Block(fence["info"], "\n".join(lines) + "\n"))
            fence = None
        else:
            lines.append(line.removeprefix(fence["indent"]))
    return blocks


def _closes(mark: re.Match[str], fence: re.Match[str]) -> bool:
    """A fence deeper than the opening one by four and more is text, as in a docstring of the program."""
    return (
        mark["mark"].startswith(fence["mark"])
        and not mark["info"].strip()
        and len(mark["indent"]) < len(fence["indent"]) + 4
    )
