"""Commands as pages and the terminal show them: a shell takes them as they stand, also where a path has a blank."""

from __future__ import annotations

import shlex

REPEATED = ("set", "vary")


def shell_command(command: str, *words: object, **options: object) -> str:
    """`mopd COMMAND WORDS --OPTION VALUE`: options without a value left out, lists with commas between.

    `set` and `vary` stand once for each of their values.
    """
    parts = ["mopd", *command.split(), *map(str, words)]
    for name, value in options.items():
        values = value if isinstance(value, list | tuple) else [] if value is None else [value]
        texts = map(str, values)
        for text in texts if name in REPEATED else [",".join(texts)] if values else []:
            parts += [f"--{name}", text]
    return " ".join(map(_quoted, parts))


def _quoted(word: str) -> str:
    """As a shell takes it; what has single quotes, a query for one, is easier to read within double ones."""
    return f'"{word}"' if "'" in word and not set(word) & set('"$`\\!') else shlex.quote(word)
