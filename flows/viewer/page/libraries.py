"""The libraries of the page, out of Python packages: Vega draws charts, DataTables sorts and searches tables.

Both run under a policy that forbids `eval`: Vega with its interpreter, `ast: true`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from typing import Literal

from storage.stores.copies import cache_folder
from storage.stores.files import write_files

LICENCES = files("flows.viewer.page") / "licences"
"""The texts, without the lines that say whose a work is."""
_EXPORTS = re.compile(r"export\s*\{([^}]*)\}")


@dataclass(frozen=True)
class Work:
    """Something of others that a script has inside, and what may be done with it."""

    name: str
    copyright: str
    licence: Literal["MIT", "BSD-3-Clause", "ISC"]


@dataclass(frozen=True)
class Library:
    """A script of others, its style, and the works that it is made of."""

    script: str
    style: str
    works: tuple[Work, ...]


_VEGA = "Copyright (c) 2013 Trifacta Inc., 2015-2023 University of Washington Interactive Data Lab"
VEGA_WORKS = (
    Work("D3", "Copyright 2010-2023 Mike Bostock", "ISC"),
    Work("topojson-client", "Copyright 2012-2019 Michael Bostock", "ISC"),
    Work("delaunator", "Copyright (c) 2021, Mapbox", "ISC"),
    Work("semver", "Copyright (c) Isaac Z. Schlueter and Contributors", "ISC"),
    Work("fast-json-patch", "Copyright (c) 2013, 2014, 2020 Joachim Wester", "MIT"),
    Work("json-stringify-pretty-compact", "Copyright (c) 2014, 2016, 2017, 2019, 2021 Simon Lydell", "MIT"),
)
TABLE_WORKS = (
    Work("DataTables and its extensions", "Copyright (c) 2008-2026 SpryMedia Limited", "MIT"),
    Work("jQuery", "Copyright OpenJS Foundation and other contributors", "MIT"),
    Work("JSZip", "Copyright (c) 2009-2016 Stuart Knightley, David Duponchel, Franz Buchinger, António Afonso", "MIT"),
    Work("pako", "Copyright (c) 2014-2017 Vitaly Puzrin and Andrei Tuputcyn", "MIT"),
    Work("FileSaver.js", "Copyright (c) 2016 Eli Grey", "MIT"),
    Work("Lucide icons", "Copyright (c) 2022 Lucide Contributors", "ISC"),
    Work("Feather icons", "Copyright (c) 2013-2022 Cole Bemis", "MIT"),
)


@cache
def libraries() -> tuple[Library, ...]:
    """What the page has inside beside our own scripts."""
    return vega(), data_tables()


def vega() -> Library:
    """Vega, Vega-Lite and vega-embed, as `vegaEmbed`."""
    from vl_convert import get_vega_embed_version, get_vega_version, get_vegalite_versions

    names = (
        f"vega {get_vega_version()}",
        f"vega-lite {get_vegalite_versions()[-1]}",
        f"vega-embed {get_vega_embed_version()}",
    )
    works = tuple(Work(name, _VEGA, "BSD-3-Clause") for name in names)
    return Library(vega_script(), "", works + VEGA_WORKS)


def vega_script() -> str:
    """Vega's bundle. It takes more than a second to be put together, so it is kept for the next page."""
    from vl_convert import javascript_bundle

    kept = cache_folder() / "scripts" / f"vega-{version('vl-convert-python')}.js"
    with suppress(OSError):
        return kept.read_text()
    script: str = javascript_bundle("window.vegaEmbed = vegaEmbed;")
    with suppress(OSError):
        write_files(kept.parent, {kept.name: script.encode()})
    return script


def data_tables() -> Library:
    """DataTables, as `DataTable`."""
    folder = files("itables") / "html"
    script = (folder / "dt_bundle.js").read_text()
    exports = _EXPORTS.findall(script)[-1].split(",")
    own_name = dict(reversed(pair.strip().split(" as ")) for pair in exports)["default"]
    bundle = Work(f"itables {version('itables')}", "Copyright (c) 2019-2026 Marc Wouts", "MIT")
    style = (folder / "dt_bundle.css").read_text()
    return Library(f"{script}\nwindow.DataTable = {own_name};", style, (bundle, *TABLE_WORKS))


def notices() -> Iterator[dict[str, str]]:
    """Of each work that the page has inside: its name, the kind of its licence, and the licence in full."""
    for work in (work for library in libraries() for work in library.works):
        text = (LICENCES / f"{work.licence}.txt").read_text()
        yield {"name": work.name, "licence": work.licence, "text": f"{work.copyright}\n\n{text}"}
