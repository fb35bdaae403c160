"""The page as HTML: one document with nothing to load, under a policy that lets only its own scripts run."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Sequence
from importlib.resources import files

from flows.viewer.page.libraries import libraries, notices

APP = files("flows.viewer.page") / "app"
SCRIPTS = (
    *("parts/dom", "parts/text", "frame/theme", "frame/source", "served/served", "frame/router", "frame/keys"),
    *("parts/chart", "parts/table", "parts/numbers", "parts/outcomes", "parts/peers"),
    *("served/runs", "run/overview"),
    *("prompts/pass_rates", "prompts/prompts", "prompts/heat"),
    *("group/group", "group/graph", "group/replies"),
    *("rollout/walk", "rollout/tokens", "rollout/token_panel", "rollout/teacher"),
    *("rollout/rollout", "rollout/example", "rollout/rollouts"),
    *("run/measures", "run/compare", "served/sql"),
    *("frame/libraries", "frame/app"),
)
"""Our scripts, in the order in which they are read: one module. The head of the page has the views in this order."""
STYLES = (
    *("frame/style", "parts/parts", "parts/tables", "served/served"),
    *("run/run", "prompts/prompts", "group/group", "rollout/rollout"),
)
"""Our style: the frame, what views are made of, then what is of one view alone."""
MARK = "mopd-report"
"""Of a file that is a report, and may be written again."""


def page(data: Iterable[str] = (), connect: str = "'none'") -> str:
    """The page around `data`, scripts that are no programs. `connect`: whom it may ask, as a policy says it."""
    scripts = [*(_closed(library.script) for library in libraries()), _read(SCRIPTS, "js")]
    style = "\n".join((*(library.style for library in libraries()), _read(STYLES, "css")))
    parts = {
        "policy": f'<meta http-equiv="Content-Security-Policy" content="{_policy(scripts, style, connect)}">\n'
        f'<meta name="generator" content="{MARK}">',
        "style": f"<style>{style}</style>",
        "data": "\n".join((*data, data_script("libraries", json.dumps([*notices()])))),
        "scripts": "\n".join(f'<script type="module">{script}</script>' for script in scripts),
    }
    html = (APP / "index.html").read_text()
    for name, part in parts.items():
        html = html.replace(f"<!-- {name} -->", part)
    return html


def data_script(id: str, text: str, kind: str = "application/json") -> str:
    """Data in the page: an element that ends where it should, whatever the JSON says."""
    closed = text.replace("<", "\\u003c")
    return f'<script type="{kind}" id="{id}">{closed}</script>'


def _read(names: Sequence[str], kind: str) -> str:
    return "\n".join((APP / f"{name}.{kind}").read_text() for name in names)


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
