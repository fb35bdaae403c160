"""One large file, loaded so that a later start goes on where an earlier one stopped.

The hub's client (2.4) takes up a connection that drops, but removes what it has of a file when it gives up or is
stopped. Here that stays in the hub's cache, under the file's own hash, and the client puts the rest behind it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from pathlib import Path
from typing import Any, BinaryIO

from mopd.hub.errors import cache
from mopd.hub.names import HubName

SHA256_DIGITS = 64


def load_file(name: HubName, file: str, bar: Any) -> None:
    """A file of a pinned name into the hub's cache; `bar`: a class like tqdm's. Raises what the hub's client raises.

    Files that plain HTTP is not given for are left to the client, as are all where HF_XET_HIGH_PERFORMANCE asks so.
    """
    from huggingface_hub import constants, get_hf_file_metadata, hf_hub_download, hf_hub_url
    from huggingface_hub.file_download import repo_folder_name
    from huggingface_hub.utils import build_hf_headers

    url = hf_hub_url(name.repo, file, repo_type=name.kind, revision=name.commit)
    metadata = get_hf_file_metadata(url)
    size = metadata.size or 0
    if 0 < size <= constants.MAX_HTTP_DOWNLOAD_SIZE and metadata.etag and not constants.HF_XET_HIGH_PERFORMANCE:
        folder = Path(cache()).expanduser() / repo_folder_name(repo_id=name.repo, repo_type=name.kind) / "blobs"
        _complete(folder / metadata.etag, url, headers=build_hf_headers(), size=size, bar=bar)
    hf_hub_download(name.repo, file, repo_type=name.kind, revision=name.commit, tqdm_class=bar)


def _complete(blob: Path, url: str, *, headers: dict[str, str], size: int, bar: Any) -> None:
    """Load what is missing of a file, then give it its name; one process at a time."""
    from huggingface_hub.file_download import http_get

    blob.parent.mkdir(parents=True, exist_ok=True)
    partial = blob.with_name(f"{blob.name}.mopd.incomplete")
    with partial.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if blob.exists():  # another commit has the same file, or another process was first
            partial.unlink(missing_ok=True)
            bar(total=size, initial=size)
            return
        begun = _size_to_go_on_from(file, size)
        progress = bar(total=size, initial=begun)

        def load(start: int) -> None:
            plain = headers | {"Accept-Encoding": "identity"}
            http_get(url, file, resume_size=start, headers=plain, expected_size=size, _tqdm_bar=progress)
            file.flush()
            os.fsync(file.fileno())

        load(begun)
        if begun and not _is_whole(partial, blob.name):
            file.truncate(0)
            progress.update(-size)
            load(0)
        partial.rename(blob)


def _size_to_go_on_from(file: BinaryIO, size: int) -> int:
    """Bytes that are there; none where there are more than there should be."""
    begun = file.seek(0, os.SEEK_END)
    if begun > size:
        file.truncate(0)
        return 0
    return begun


def _is_whole(partial: Path, etag: str) -> bool:
    """Whether a file that was loaded in parts hashes to its name, where that is a sha256."""
    if len(etag) != SHA256_DIGITS:
        return True
    with partial.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == etag
