"""Every place that the page's views have an address for: a new view is in the tests of all of them by itself."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

from flows.viewer.page.html import APP, SCRIPTS

_VIEW = re.compile(r"^view\(\"([^\"]+)\"", re.MULTILINE)
VIEWS = sorted(pattern for name in SCRIPTS for pattern in _VIEW.findall((APP / f"{name}.js").read_text()))


def address(pattern: str, **place: object) -> str:
    """`#/round/0/prompt/ID` of a view's pattern."""
    parts = [quote(str(place[part[1:]]), safe="") if part.startswith(":") else part for part in pattern.split("/")]
    return "#/" + "/".join(parts)


def show(tab: Any, url: str) -> None:
    """Open an address and wait until it is drawn."""
    tab.goto(url)
    tab.locator("main:not([aria-busy]) h1").first.wait_for()
    tab.wait_for_timeout(150)  # charts and tables are drawn when they are in the page
