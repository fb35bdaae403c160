"""The page shown in the browser of this host."""

from __future__ import annotations

import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory

_LEADS_ON = (
    '<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0; url={address}"><title>mopd</title>'
)


@contextmanager
def shown_in_browser(address: str) -> Iterator[None]:
    """An address that is secret: every user of the host can read on which words a browser is started.

    So it is started on a file that leads on, which lies where other users can't look, until the end.
    """
    with TemporaryDirectory(prefix="mopd-view-") as folder:
        file = Path(folder) / "view.html"
        file.write_text(_LEADS_ON.format(address=escape(address)))
        webbrowser.open(file.as_uri())
        yield
