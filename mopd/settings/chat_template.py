"""A chat template as a setting: given as a file's path, kept as the file's text."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator


def read_template(value: str) -> str:
    """The text of the file of that name; text that is a template already stays. Raises ValueError.

    What a run keeps is the text: it goes on as it began, whatever becomes of the file.
    """
    if "{" in value or "\n" in value:
        return value
    try:
        text = Path(value).expanduser().read_text(encoding="utf-8")
    except OSError as error:
        raise ValueError(f"cannot be read ({error.strerror}); give the path of a Jinja template") from error
    except UnicodeDecodeError as error:
        raise ValueError("is not text; give the path of a Jinja template") from error
    if "{" not in text:
        raise ValueError("holds no Jinja template; give the path of one")
    return text


TemplateText = Annotated[str, AfterValidator(read_template)]
