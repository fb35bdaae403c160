"""The libraries of the page, out of Python packages: Vega draws charts, DataTables sorts and searches tables.

Both run under a policy that forbids `eval`: Vega with its interpreter, `ast: true`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib.metadata import distribution
from importlib.resources import files

_EXPORTS = re.compile(r"export\s*\{([^}]*)\}")


@dataclass(frozen=True)
class Library:
    """A script of others, its style, and what may be done with it."""

    name: str
    script: str
    style: str
    licence: str


@cache
def libraries() -> tuple[Library, ...]:
    """What the page has inside beside our own scripts."""
    return vega(), data_tables()


def vega() -> Library:
    """Vega, Vega-Lite and vega-embed, as `vegaEmbed`."""
    from vl_convert import javascript_bundle

    return Library(
        "vega, vega-lite, vega-embed", javascript_bundle("window.vegaEmbed = vegaEmbed;"), "", "BSD-3-Clause"
    )


def data_tables() -> Library:
    """DataTables, as `DataTable`."""
    folder = files("itables") / "html"
    script = (folder / "dt_bundle.js").read_text()
    exports = _EXPORTS.findall(script)[-1].split(",")
    own_name = dict(reversed(pair.strip().split(" as ")) for pair in exports)["default"]
    style = (folder / "dt_bundle.css").read_text()
    return Library("DataTables", f"{script}\nwindow.DataTable = {own_name};", style, _licence_of("itables"))


def _licence_of(package: str) -> str:
    return distribution(package).read_text("licenses/LICENSE") or "MIT"
