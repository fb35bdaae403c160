"""Under which license a model stands: what a user says, or what a model card says."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import yaml

from flows.report.card.markdown import one_line
from mopd.errors import InputError

IDENTIFIER = re.compile(r"[a-z0-9][a-z0-9.-]*")


@dataclass(frozen=True)
class License:
    """As the front matter of a model card has it."""

    id: str
    """As the hub lists them: `apache-2.0`; `other` for one that it doesn't list."""
    name: str | None = None
    link: str | None = None

    @property
    def text(self) -> str:
        """All that is known of it, on one line."""
        return ", ".join(part for part in (self.id, self.name, self.link) if part)


UNKNOWN = License("other", "unknown")


def named_license(text: str) -> License:
    """The license of that identifier. Raises InputError for what can't be one."""
    if not IDENTIFIER.fullmatch(text):
        raise InputError(f"--license {text}: is no identifier of a license; write it as the hub does, e.g. apache-2.0")
    return License(text)


def card_license(card: Path) -> License | None:
    """What a model card says; None where there is none, or none that can be read."""
    from huggingface_hub import ModelCard

    if not card.is_file():
        return None
    try:
        data = ModelCard.load(card, ignore_metadata_errors=True).data
    except (ValueError, TypeError, OSError, yaml.YAMLError):
        return None
    fields = [data.get(name) for name in ("license", "license_name", "license_link")]
    id, name, link = (one_line(field) if isinstance(field, str) else None for field in fields)
    return License(id, name, link) if id else None
