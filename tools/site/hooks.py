"""MkDocs' calls while it builds the site: which files of the repository it has, and a page for every package.

The site has the repository's layout, so that a link between two files is the same in both.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
SHOWN = (
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "LICENSE",
    "prefect.yaml",
    "docs/**/*",
    "examples/**/*",
    "benchmarks/results/*.json",
)
"""Files of the repository that are pages, or that pages link to."""
PACKAGES = ("mopd", "storage")
"""Each of their packages has a page."""
PUBLIC_MODULES = ("flows.run", "flows.plan.stage", "flows.runtime.places.base", "flows.trackers.tracker")
"""What somebody who adds to mopd calls of flows/; its commands have a page of their own."""


def on_config(config: MkDocsConfig) -> None:
    """Puts the pages of the packages into the menu, where it says `Python: []`."""
    reference = next(section["Reference"] for section in config.nav or [] if "Reference" in section)
    menu = next(entry for entry in reference if "Python" in entry)
    menu["Python"] = [{name: f"reference/{name}.md"} for name in _reference_pages()]


def on_files(files: Files, config: MkDocsConfig) -> None:
    """Adds the repository's own files, a run's report, the examples on one page, and the pages of the packages."""
    for path in shown_files():
        files.append(File.generated(config, str(path.relative_to(ROOT)), abs_src_path=str(path)))
    files.append(File.generated(config, "report.html", abs_src_path=str(_report(config))))
    files.append(File.generated(config, "examples.md", content=_examples_page()))
    for name, modules in _reference_pages().items():
        content = f"# {name}\n\n" + "\n".join(f"::: {module}\n" for module in modules)
        files.append(File.generated(config, f"reference/{name}.md", content=content))


def on_page_markdown(markdown: str, page: Page, **_: object) -> None:
    """The front page is alone in its part of the menu, so it shows none; a search finds explanations before code."""
    if page.is_homepage:
        page.meta["hide"] = ["navigation"]
    if page.file.src_uri.startswith("reference/") or page.file.src_uri == "CHANGELOG.md":
        page.meta["search"] = {"boost": 0.5}


def shown_files() -> list[Path]:
    """The files of the repository that the site has."""
    found = (path for pattern in SHOWN for path in sorted(ROOT.glob(pattern)))
    return [path for path in found if path.is_file() and "__pycache__" not in path.parts]


def _report(config: MkDocsConfig) -> Path:
    path = Path(config.config_file_path).parent / config.extra["report"]
    if not path.is_file():
        raise PluginError(f"{path}: there is no report to show; `make site` makes one")
    return path


def _examples_page() -> str:
    """Every file of examples/ with its text, those of the first level first."""
    folder = ROOT / "examples"
    paths = [path for path in shown_files() if path.is_relative_to(folder)]
    sections = [_code(path, folder) for path in sorted(paths, key=lambda path: (len(path.parts), path))]
    return "# Examples\n\nThe files of `examples/`.\n\n" + "\n".join(sections)


def _code(path: Path, folder: Path) -> str:
    """A file as a section with its text in a block."""
    return f"## {path.relative_to(folder)}\n\n````{path.suffix.removeprefix('.')}\n{path.read_text()}````\n"


def _reference_pages() -> dict[str, list[str]]:
    """The modules of each page, by the page's name, which is a package's."""
    pages = {name: modules for package in PACKAGES for name, modules in _packages(ROOT / package)}
    return pages | {"flows": list(PUBLIC_MODULES)}


def _packages(folder: Path) -> Iterable[tuple[str, list[str]]]:
    """A package with its modules, then those within it."""
    name = ".".join(folder.relative_to(ROOT).parts)
    modules = [f"{name}.{path.stem}" for path in sorted(folder.glob("*.py")) if not path.stem.startswith("__")]
    yield name, [name, *modules]
    for below in sorted(folder.iterdir()):
        if (below / "__init__.py").exists():
            yield from _packages(below)
