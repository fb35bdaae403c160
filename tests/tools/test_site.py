"""Promise: every page of docs/ is in the site's menu, every link leads somewhere, and the site fetches nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from markdown import Markdown
from mkdocs.utils import yaml_load
from pymdownx.slugs import slugify

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / "tools" / "site" / "mkdocs.yml"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted(ROOT.glob("docs/**/*.md"))]
FETCHED = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src", "form": "action"}
"""Attributes whose address a browser opens by itself, or sends something to."""


class Tags(HTMLParser):
    """All tags of a page, with their attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def values(self, attribute: str) -> list[str]:
        return [value for _, attributes in self.tags if (value := attributes.get(attribute))]


@cache
def rendered(path: Path) -> Tags:
    """A page as the site and GitHub name its sections."""
    markdown = Markdown(
        extensions=["tables", "fenced_code", "toc"], extension_configs={"toc": {"slugify": slugify(case="lower")}}
    )
    return Tags(markdown.convert(path.read_text()))


def entries(menu: Any) -> Iterable[str]:
    """The pages of a menu, or of a part of it."""
    if isinstance(menu, str):
        yield menu
    else:
        for part in menu.values() if isinstance(menu, dict) else menu:
            yield from entries(part)


def test_the_menu_has_every_page_once() -> None:
    with CONFIG.open() as file:
        menu = list(entries(yaml_load(file)["nav"]))
    assert sorted(ROOT / page for page in menu if (ROOT / page).exists()) == sorted(PAGES)
    only_there = {page for page in menu if not (ROOT / page).exists()}
    assert only_there == {"command_line.md", "example.md", "examples.md"}


def broken_links(page: Path) -> Iterable[str]:
    for link in [*rendered(page).values("href"), *rendered(page).values("src")]:
        address = urlsplit(link)
        if address.scheme:
            continue
        target = (page.parent / unquote(address.path)).resolve() if address.path else page
        if not target.is_file():
            yield f"{link}: no such file"
        elif target.suffix == ".md" and address.fragment and address.fragment not in rendered(target).values("id"):
            yield f"{link}: no such section"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    assert list(broken_links(page)) == []


def test_broken_links_are_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# One `word`, two\n\n[a](#one-word-two) [b](#one) [c](page.md#two) [d](gone.md) [e](https://gone)\n"
    )
    assert list(broken_links(page)) == [
        "#one: no such section",
        "page.md#two: no such section",
        "gone.md: no such file",
    ]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make site` builds it: 11 s on two cores. Strict: a warning is an error."""
    folder = tmp_path_factory.mktemp("site")
    report = tmp_path_factory.mktemp("report") / "report.html"
    report.write_text("<!doctype html><title>A report</title>")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--config-file", CONFIG, "--site-dir", folder]
    environment = os.environ | {"MOPD_SITE_REPORT": str(report), "NO_MKDOCS_2_WARNING": "1"}
    ended = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert (ended.returncode, ended.stdout + ended.stderr) == (0, "")
    return folder


@pytest.mark.slow
def test_the_site_has_pages_and_fetches_nothing(site: Path) -> None:
    pages = {str(path.relative_to(site)): Tags(path.read_text()) for path in site.rglob("*.html")}
    assert {"index.html", "docs/sql.html", "command_line.html", "reference/mopd.objectives.html"} <= set(pages)
    foreign = {
        f"{name}: {address}"
        for name, page in pages.items()
        for tag, attributes in page.tags
        if (address := attributes.get(FETCHED.get(tag, "")) or "") and urlsplit(address).netloc
    }
    assert foreign == set()
    styles = "".join(path.read_text() for path in site.rglob("*.css"))
    assert "url(http" not in styles and "url(//" not in styles and "@import" not in styles


@pytest.mark.slow
def test_the_reference_shows_names_once_and_docstrings_as_they_are_written(site: Path) -> None:
    verifiers = (site / "reference" / "mopd.verifiers.html").read_text()
    assert 'id="mopd.verifiers.base.Problem"' in verifiers
    assert 'id="mopd.verifiers.Problem"' not in verifiers, "shown again where it is re-exported"
    assert "one letter in &lt;answer&gt;" in verifiers
