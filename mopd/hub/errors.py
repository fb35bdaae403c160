"""What can go wrong between here and the hub, each in one line that names the fix."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from mopd.errors import InputError, is_full_disk
from mopd.hub.names import HubName

TOKEN = "give one that may read it (HF_TOKEN, or `hf auth login`)"


@contextmanager
def hub_errors(name: HubName, setting: str) -> Iterator[None]:
    """Raises InputError, one line, for what the hub, the network or the disk refuses."""
    from huggingface_hub import errors

    try:
        yield
    except InputError:
        raise
    except ValueError as error:  # no JSON, a revision that can't be one
        problem = f"{endpoint()} answers what is not understood ({' '.join(str(error).split())[:200]})"
        raise InputError(f"{where(setting, name)}: {problem}; mind the name and HF_ENDPOINT") from error
    except (
        OSError,
        RuntimeError,
        errors.HTTPError,
        errors.RevisionResolutionError,
        errors.EntryNotFoundError,
    ) as error:
        if isinstance(error, RuntimeError) and not is_full_disk(error):  # as hf-xet tells of all that it meets
            raise
        raise InputError(f"{where(setting, name)}: {_problem(name, error)}") from error


def where(setting: str, name: HubName) -> str:
    """How an error begins: the setting, where there is one, and what it names."""
    return f"{setting}: {name}" if setting else str(name)


def endpoint() -> str:
    """Where the hub is: HF_ENDPOINT, or huggingface.co."""
    from huggingface_hub import constants

    return str(constants.ENDPOINT)


def cache() -> str:
    """Where the hub's files are kept: HF_HUB_CACHE, or below HF_HOME."""
    from huggingface_hub import constants

    return str(constants.HF_HUB_CACHE)


def _problem(name: HubName, error: BaseException) -> str:
    from huggingface_hub import errors

    cause = telling_cause(error)
    if is_full_disk(cause):
        return f"no room is left in {cache()}; free some and start again, or set HF_HUB_CACHE to a roomier folder"
    if isinstance(cause, errors.OfflineModeIsEnabled):
        return f"is not (wholly) in {cache()}, and HF_HUB_OFFLINE forbids to load it; unset it once"
    if isinstance(cause, errors.HfHubHTTPError):
        return _answer(name, cause)
    return (
        f"could not be loaded from {endpoint()} ({reason(cause)}); mind the network (HF_ENDPOINT, proxies) and "
        f"start again, it goes on with what is in {cache()}"
    )


def _answer(name: HubName, error: BaseException) -> str:
    """What the hub answered."""
    from huggingface_hub import errors, get_token

    page = f"{endpoint()}/{'datasets/' if name.kind == 'dataset' else ''}{name.repo}"
    status = answered_status(error)
    if isinstance(error, errors.GatedRepoError):
        how = "with that account's token (HF_TOKEN)" if get_token() is None else "with the account of your token"
        return f"is gated: accept its terms at {page} {how}"
    if isinstance(error, errors.RevisionNotFoundError):
        return f"{name.repo} has no revision {name.revision}; name a branch, a tag or a commit of {page}"
    if isinstance(error, errors.RepositoryNotFoundError):
        what = "neither a folder here nor a model" if name.kind == "model" else "no public data set"
        return f"is {what} of {endpoint()}; mind the spelling or, if it is private, {_private()}"
    if status == 401:
        return f"the hub refuses your token; {TOKEN}"
    if status == 403:
        return f"your token may not read {page}; {TOKEN}"
    return f"{endpoint()} answers {answered(error)}; try again later, what was loaded stays"


def _private() -> str:
    from huggingface_hub import get_token

    return "give a token (HF_TOKEN, or `hf auth login`)" if get_token() is None else "give another token (HF_TOKEN)"


def answered(error: BaseException) -> str:
    """The status that the hub answered, with its name."""
    return f"{answered_status(error)} {getattr(getattr(error, 'response', None), 'reason_phrase', '')}".strip()


def answered_status(error: BaseException) -> int | None:
    """Of an error that is an answer of the hub; None of another."""
    status: int | None = getattr(getattr(error, "response", None), "status_code", None)
    return status


def telling_cause(error: BaseException) -> BaseException:
    """Of an error and what it came from: a full disk, what forbids or answers, else the first cause of all."""
    from huggingface_hub import errors

    chain = list(causes(error))
    full = [cause for cause in chain if is_full_disk(cause)]
    said = [cause for cause in chain if isinstance(cause, errors.OfflineModeIsEnabled | errors.HfHubHTTPError)]
    return [*full, *said, chain[-1]][0]


def reason(error: BaseException) -> str:
    """What an error says, on one line."""
    return " ".join(str(error).split())[:200] or type(error).__name__


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error, then what it was raised from."""
    while error is not None:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
