"""Files put into a repository of the hub, by the hub's own client: one commit, all of it or none.

A folder's upload of the client (`upload_folder`) may become several commits; `create_commit` is always one. The large
files are sent before it, so a start that breaks off leaves the repository as it was, and the next one sends what is
missing.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from socket import gaierror
from ssl import SSLError

from mopd.errors import InputError
from mopd.hub.errors import answered, answered_status, endpoint, reason, telling_cause
from mopd.hub.names import HubName

TOKEN = "give one that may write there (HF_TOKEN, or `hf auth login`)"
IGNORE_FILE = ".gitignore"
UNCHANGED = "nothing was changed there"
AGAIN = "start again, what was sent is not sent twice"


@dataclass(frozen=True)
class Repository:
    """Where files are to go, as it is now."""

    name: HubName
    setting: str
    """That names it, for errors."""
    commit: str | None
    """The newest; None where the repository is to be made."""
    files: frozenset[str]


@dataclass(frozen=True)
class Pushed:
    """What a push has done."""

    url: str
    """Of the commit."""
    num_files: int
    replaced: list[str]
    """Names that were there before."""
    removed: list[str]
    is_new: bool = True
    """Whether there is a commit more than before: files that are all there as they are make none."""

    @property
    def text(self) -> str:
        """In a line."""
        if not self.is_new:
            return f"{self.url}: has these {self.num_files} files already; nothing was changed"
        before = [f"replaced {', '.join(self.replaced)}"] if self.replaced else []
        before += [f"removed {', '.join(self.removed)}"] if self.removed else []
        return "; ".join([f"{self.url}: {self.num_files} files", *before])


def find_repository(name: HubName, setting: str, *, private: bool) -> Repository:
    """The repository as it is; nothing is changed.

    Raises InputError: no token or one that is refused, no network, one that is public where `private` is asked for,
    one that leaves files out.
    """
    from huggingface_hub import HfApi, errors, get_token

    if get_token() is None:
        raise InputError(f"{setting} {name}: the hub wants a token; {TOKEN}")
    with _push_errors(name, setting, UNCHANGED):
        try:
            info = HfApi().model_info(name.repo)
        except errors.RepositoryNotFoundError:
            return Repository(name, setting, None, frozenset())
    files = frozenset(file.rfilename for file in info.siblings or ())
    if private and not info.private:
        raise InputError(
            f"{setting} {name}: is there already, and public; make it private on its page first, or leave --private out"
        )
    if IGNORE_FILE in files:
        raise InputError(
            f"{setting} {name}: has a {IGNORE_FILE}, by which the hub may leave files out; remove it there"
        )
    return Repository(name, setting, info.sha, files)


def push_files(
    repository: Repository, files: Mapping[str, Path | bytes], *, private: bool, owned: Collection[str], message: str
) -> Pushed:
    """One commit with all files on the main branch; the repository is made where there is none.

    `owned`: patterns of names that belong to what is replaced; those that aren't among `files` are removed, all others
    stay. Raises InputError, which says what was done.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
    from huggingface_hub.utils import disable_progress_bars, logging

    logging.set_verbosity_error()
    if not sys.stderr.isatty():
        disable_progress_bars()
    name, removed = repository.name, _list_stale(repository, files, owned)
    with _push_errors(name, repository.setting, UNCHANGED):
        operations: list[CommitOperationAdd | CommitOperationDelete] = [
            CommitOperationAdd(file, content if isinstance(content, bytes) else str(content))
            for file, content in files.items()
        ]
    operations += [CommitOperationDelete(file) for file in removed]
    before = _make(repository, private=private) if repository.commit is None else UNCHANGED
    lost = "either all of it is there by now, or nothing" if repository.commit else "either it has all files, or none"
    with _push_errors(name, repository.setting, f"{before}; {AGAIN}", f"{lost}; {AGAIN}"):
        commit = HfApi().create_commit(name.repo, operations, commit_message=message, parent_commit=repository.commit)
    replaced = sorted(repository.files & files.keys())
    return Pushed(commit.commit_url, len(files), replaced, removed, is_new=commit.oid != repository.commit)


def _list_stale(repository: Repository, files: Mapping[str, object], owned: Collection[str]) -> list[str]:
    others = repository.files - files.keys()
    return sorted(file for file in others if any(_matches(file, pattern) for pattern in owned))


def _matches(file: str, pattern: str) -> bool:
    """Level by level: a pattern of names says nothing of what lies in folders."""
    return file.count("/") == pattern.count("/") and fnmatch(file, pattern)


def _make(repository: Repository, *, private: bool) -> str:
    """Make it; returns what is to be said of it where nothing comes of the rest."""
    from huggingface_hub import HfApi

    with _push_errors(repository.name, repository.setting, UNCHANGED):
        HfApi().create_repo(repository.name.repo, private=private or None)
    return "it was made, and is empty"


@contextmanager
def _push_errors(name: HubName, setting: str, state: str, unknown: str | None = None) -> Iterator[None]:
    """Raises InputError, one line, for what the hub, the network or this host refuses.

    `state`: what it leaves behind; `unknown`: the same, where the hub may have done it and its answer was lost.
    """
    from huggingface_hub import errors

    try:
        yield
    except InputError:
        raise
    except (OSError, errors.HTTPError, ValueError, RuntimeError) as error:
        cause = telling_cause(error)
        outcome = unknown if unknown and _may_be_done(cause) else state
        raise InputError(f"{setting} {name}: {_problem(name, error, cause)}; {outcome}") from error


def _may_be_done(cause: BaseException) -> bool:
    """Whether the hub may have done what it was asked all the same."""
    from huggingface_hub import errors

    if isinstance(cause, errors.HfHubHTTPError):
        return (answered_status(cause) or 0) >= 500
    return not (isinstance(cause, errors.OfflineModeIsEnabled) or _is_of_this_host(cause))


def _is_of_this_host(cause: BaseException) -> bool:
    """Whether it is an error of a file, not of the network."""
    return isinstance(cause, OSError) and not isinstance(cause, ConnectionError | TimeoutError | SSLError | gaierror)


def _problem(name: HubName, error: BaseException, cause: BaseException) -> str:
    from huggingface_hub import errors

    if isinstance(cause, errors.OfflineModeIsEnabled):
        return "HF_HUB_OFFLINE forbids to ask the hub; unset it"
    if isinstance(cause, errors.HfHubHTTPError):
        return _refusal(name, cause)
    if _is_of_this_host(cause):
        return f"a file of this host can't be read or written ({reason(cause)})"
    if isinstance(error, ValueError):
        return f"{endpoint()} refuses what it is given, or answers what is not understood ({reason(error)})"
    return f"{endpoint()} could not be reached ({reason(cause)}); mind the network (HF_ENDPOINT, proxies)"


def _refusal(name: HubName, error: BaseException) -> str:
    """What the hub answered."""
    status = answered_status(error)
    if status == 401:
        return f"the hub refuses your token; {TOKEN}"
    if status in (403, 404):
        return f"your token may not write to {name.repo.partition('/')[0]}; {TOKEN}"
    if status == 412:
        return "somebody changed it meanwhile"
    return f"{endpoint()} answers {answered(error)} ({reason(error)})"
