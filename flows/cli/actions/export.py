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
from mopd.errors import InputError
from mopd.hub.names import repository_name
from mopd.hub.push import find_repository, push_files
from mopd.models.folders import ADAPTER, DIGESTED
from storage.runs import RunFolder
from storage.stores.files import require_new_folder

PUSH = "--push"
OF_A_POLICY = (*DIGESTED, f"{ADAPTER}/*")
"""Files of a repository that are another model's, where the policy that is put there has none of that name."""


def export_policy(
    folder: RunFolder, round: int | str, *, target: Path | None, license: str | None, push: str | None, private: bool
) -> Iterator[str]:
    """Lines that say what was done, while it is. Raises InputError or StorageError, before anything is written."""
    if target is None and push is None:
        raise InputError("give a FOLDER for the policy, or --push org/name, or both")
    if private and push is None:
        raise InputError("--private: is for a repository of the hub; give --push org/name too, or leave it out")
    own_license = named_license(license) if license is not None else None
    if target is not None:
        require_new_folder(target)
    number, why = _find_round(folder, round)
    repository = find_repository(repository_name(push, PUSH), PUSH, private=private) if push is not None else None
    policy = policy_files(folder, number)
    source = CardSource.of(folder, number, name=push or (target or Path()).resolve().name, license=own_license)
    files: dict[str, Path | bytes] = {**policy, **card_files(source)}
    if target is not None:
        yield f"{export_files(files, target)}{why}"
    if repository is not None:
        message = f"Policy {source.version} of {folder.run_id}"
        yield push_files(repository, files, private=private, owned=OF_A_POLICY, message=message).text + why
    if not source.license:
        yield f"{CARD_FILE}: the license is not known; fill it in, or give --license"


def _find_round(folder: RunFolder, round: int | str) -> tuple[int, str]:
    if isinstance(round, int):
        return round, ""
    number, why = (best_round if round == "best" else last_round)(folder)
    return number, f": {why}"
