"""`mopd export`: a policy and its card, into a folder, onto the hub, or both."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from flows.cli.actions.named_rounds import best_round, last_round
from flows.folder.export import export_files, policy_files
from flows.report.card.base_model import CARD_FILE
from flows.report.card.files import card_files
from flows.report.card.license import named_license
from flows.report.card.source import CardSource
from storage.runs import RunFolder
from storage.stores.files import require_new_folder


def export(folder: RunFolder, round: int | str, *, target: Path, license: str | None) -> Iterator[str]:
    """Lines that say what was done. Raises InputError or StorageError, one line, before anything is written."""
    given = named_license(license) if license is not None else None
    require_new_folder(target)
    number, why = _find_round(folder, round)
    files: dict[str, Path | bytes] = {**policy_files(folder, number)}
    source = CardSource.of(folder, number, name=target.resolve().name, license=given)
    files |= card_files(source)
    yield f"{export_files(files, target)}{why}"
    if not source.license:
        yield f"{CARD_FILE}: the license is not known; fill it in, or give --license"


def _find_round(folder: RunFolder, round: int | str) -> tuple[int, str]:
    if isinstance(round, int):
        return round, ""
    number, why = (best_round if round == "best" else last_round)(folder)
    return number, f": {why}"
