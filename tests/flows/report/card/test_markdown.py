"""Text that others wrote is shown as it is, and is never markup: read by a parser of GitHub's Markdown."""

from __future__ import annotations

import html
import re

import pytest
from markdown_it import MarkdownIt

from flows.report.card.markdown import code, code_block, code_value, heading
from flows.report.table import Table

HOSTILE = [
    "a | b",
    "a \\| b",
    "\\",
    "`",
    "``` x `` y",
    " spaces ",
    "<script>alert(1)</script>",
    "</details>",
    "![x](http://example.org/x.png)",
    "**bold** [link](x)",
    "---",
    "# heading",
]


def render(text: str) -> str:
    return str(MarkdownIt("commonmark", {"html": True}).enable("table").render(text))


def shown_code(rendered: str) -> list[str]:
    return [html.unescape(text) for text in re.findall("<code>(.*?)</code>", rendered)]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_span_shows_what_it_holds(text: str) -> None:
    (shown,) = shown_code(render(f"before {code(text)} after"))
    assert shown.replace("\\u007c", "|") == text


@pytest.mark.parametrize("text", HOSTILE)
def test_a_cell_stays_one_cell(text: str) -> None:
    rendered = render(Table.of([{"setting": code(text), "value": "1"}]).markdown())
    assert len(re.findall("<td", rendered)) == 2
    (shown,) = shown_code(rendered)
    assert shown.replace("\\u007c", "|") == text


def test_line_breaks_and_what_cannot_be_seen_are_numbers() -> None:
    assert code("a\nb\u2028c\u202ed\0") == "`a\\u000ab\\u2028c\\u202ed\\u0000`"
    assert code_value({"text": "a\nb"}) == '`{"text": "a\\nb"}`'


def test_a_long_value_is_cut() -> None:
    assert code("x" * 300) == f"`{'x' * 200}…`"


def test_a_block_ends_where_it_should() -> None:
    assert render(code_block("python", "a = '```'\n```\n# x")).count("<pre>") == 1
    assert "<h1>" not in render(code_block("python", "```\n# x"))


@pytest.mark.parametrize("name", ["policy", "acme/my_policy-2.5", "Qwen3-4B"])
def test_a_plain_name_is_a_heading_as_it_is(name: str) -> None:
    assert heading(name) == name


@pytest.mark.parametrize("name", ["__x__", "*x*", "<b>", "x\n---", "[a](b)", "a_"])
def test_another_name_is_a_span_in_its_heading(name: str) -> None:
    assert heading(name) == code(name)
