"""The page as HTML: one document with nothing to load, under a policy that lets only its own scripts run."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from typing import Any

from flows.viewer.page.libraries import libraries

APP = files("flows.viewer.page") / "app"
SCRIPTS = (
    *("dom", "source", "router", "chart", "table", "keys"),
    *("overview",),
    "app",
)
"""Our scripts, in the order in which they are read: all are one module."""
MARK = "mopd-report"
"""Of a file that is a report, and may be written again."""


@dataclass(frozen=True)
class Block:
    """Documents that are packed together, and unpacked when one of them is asked for."""

    documents: dict[str, Any]
    """By their keys: run, name and parameters, behind slashes."""

    def packed(self) -> str:
        """gzip in base64; the same documents give the same text."""
        text = json.dumps(self.documents, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        return base64.b64encode(gzip.compress(text.encode(), 6, mtime=0)).decode()


def page(data: Iterable[str] = (), connect: str = "'none'") -> str:
    """The page around `data`, scripts that are no programs. `connect`: whom it may ask, as a policy says it."""
    ours = "\n".join((APP / f"{name}.js").read_text() for name in SCRIPTS)
    scripts = [*(_closed(library.script) for library in libraries()), ours]
    style = "\n".join((*(library.style for library in libraries()), (APP / "style.css").read_text()))
    licences = "\n\n".join(f"{library.name}\n{library.licence}" for library in libraries())
    parts = {
        "policy": f'<meta http-equiv="Content-Security-Policy" content="{_policy(scripts, style, connect)}">\n'
        f'<meta name="generator" content="{MARK}">',
        "style": f"<style>{style}</style>",
        "data": "\n".join((*data, f'<script type="text/plain" id="licences">{_closed(escape(licences))}</script>')),
        "scripts": "\n".join(f'<script type="module">{script}</script>' for script in scripts),
    }
    html = (APP / "index.html").read_text()
    for name, part in parts.items():
        html = html.replace(f"<!-- {name} -->", part)
    return html


def data_scripts(directory: dict[str, Any], blocks: Sequence[Block]) -> list[str]:
    """What a page that is a file has in place of a server: the directory says which block holds a document."""
    where = {key: number for number, block in enumerate(blocks) for key in block.documents}
    text = json.dumps({**directory, "blocks": where}, ensure_ascii=False).replace("<", "\\u003c")
    packed = (f'<script type="text/plain" id="block-{n}">{block.packed()}</script>' for n, block in enumerate(blocks))
    return [f'<script type="application/json" id="directory">{text}</script>', *packed]


def _policy(scripts: Sequence[str], style: str, connect: str) -> str:
    """Nothing but what is named here: the scripts and the style by their hashes, no `eval`, no address of others."""
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src {' '.join(map(_hash, scripts))}",
            f"style-src {_hash(style)}",
            f"connect-src {connect}",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _closed(script: str) -> str:
    """A script that doesn't end the element that it stands in."""
    return script.replace("</script", "<\\/script").replace("<!--", "<\\!--")
