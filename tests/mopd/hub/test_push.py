"""Files into a repository, by the hub's own client against a small hub on loopback: all of them or none."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants

from mopd.errors import InputError
from mopd.hub.names import repository_name
from mopd.hub.push import Pushed, find_repository, push_files
from tests.mopd.hub.hub_server import Hub
from tests.mopd.hub.hub_uploads import TOKEN, newest_files, writable_hub

REPO = "acme/policy"
CARD = b"---\nlicense: mit\n---\n\n# policy\n"
ATTRIBUTES = {".gitattributes": b"*.safetensors filter=lfs\n"}
OWNED = ("*.safetensors", "*.index.json", "tokenizer*")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with writable_hub(monkeypatch) as hub:
        yield hub


def files(folder: Path) -> dict[str, Path | bytes]:
    """What is pushed: a large file, two small ones."""
    weights = folder / "weights"
    weights.write_bytes(b"w" * 100_000)
    return {"README.md": CARD, "model.safetensors": weights, "adapter/config.json": b"{}"}


def push(folder: Path, repo: str = REPO, *, private: bool = False, changed: dict[str, bytes] | None = None) -> Pushed:
    repository = find_repository(repository_name(repo, "--push"), "--push", private=private)
    given = {**files(folder), **(changed or {})}
    return push_files(repository, given, private=private, owned=OWNED, message="Policy 2")


def content(folder: Path) -> dict[str, bytes]:
    return {name: data if isinstance(data, bytes) else data.read_bytes() for name, data in files(folder).items()}


@pytest.mark.parametrize("private", [False, True])
def test_a_repository_is_made_and_has_all_files(hub: Hub, tmp_path: Path, private: bool) -> None:
    done = push(tmp_path, private=private)
    assert newest_files(hub, REPO) == ATTRIBUTES | content(tmp_path)
    repository = hub.repositories["model", REPO]
    assert repository.private == private
    assert done.text == f"{hub.url}/{REPO}/commit/{repository.refs['main']}: 3 files"


def test_another_policy_replaces_the_model_and_leaves_the_rest(hub: Hub, tmp_path: Path) -> None:
    before = {
        "README.md": b"old",
        "model-00001-of-2.safetensors": b"a",
        "tokenizer.model": b"b",
        "a/b.safetensors": b"c",
    }
    hub.push(REPO, before)
    done = push(tmp_path)
    assert newest_files(hub, REPO) == {"a/b.safetensors": b"c"} | content(tmp_path)
    assert done.replaced == ["README.md"]
    assert done.removed == ["model-00001-of-2.safetensors", "tokenizer.model"]
    assert done.text.endswith(": 3 files; replaced README.md; removed model-00001-of-2.safetensors, tokenizer.model")


def test_the_same_files_again_change_nothing(hub: Hub, tmp_path: Path) -> None:
    first = push(tmp_path)
    again = push(tmp_path)
    assert again.text == f"{first.url}: has these 3 files already; nothing was changed"
    assert len([path for _, path, _ in hub.requests if "/upload/" in path]) == 1


@pytest.mark.parametrize(
    ("part", "status", "message"),
    [
        ("/upload/", 403, "--push acme/policy: your token may not write to acme; give one that may write there"),
        ("/preupload/", 400, "answers 400 Bad Request"),
        ("/commit/", 412, "--push acme/policy: somebody changed it meanwhile"),
    ],
)
def test_what_breaks_off_leaves_nothing_and_goes_on(
    hub: Hub, tmp_path: Path, part: str, status: int, message: str
) -> None:
    hub.faults[part] = status
    with pytest.raises(InputError) as caught:
        push(tmp_path)
    assert message in str(caught.value)
    assert str(caught.value).endswith("; it was made, and is empty; start again, what was sent is not sent twice")
    assert "\n" not in str(caught.value)
    assert newest_files(hub, REPO) == ATTRIBUTES
    hub.faults[part] = status
    with pytest.raises(InputError, match="; nothing was changed there; start again"):
        push(tmp_path)
    push(tmp_path)
    assert newest_files(hub, REPO) == ATTRIBUTES | content(tmp_path)


@pytest.mark.parametrize(
    ("repo", "state"), [(REPO, "either it has all files, or none"), ("acme/old", "either all of it is there by now")]
)
def test_an_answer_that_is_lost_leaves_open_whether_it_was_done(
    hub: Hub, tmp_path: Path, repo: str, state: str
) -> None:
    hub.push("acme/old", {"README.md": b"old"})
    hub.silent.add("/commit/")
    with pytest.raises(InputError, match=f"could not be reached .*; {state}.*; start again, what was sent is not sent"):
        push(tmp_path, repo)
    assert content(tmp_path).items() <= newest_files(hub, repo).items()
    assert push(tmp_path, repo).text.endswith(": has these 3 files already; nothing was changed")


def test_an_error_of_the_server_leaves_it_open_too(hub: Hub, tmp_path: Path) -> None:
    hub.push(REPO, {"README.md": b"old"})
    hub.faults["/commit/"] = 504
    with pytest.raises(InputError, match=r"answers 504 Gateway Time.*; either all of it is there by now, or nothing"):
        push(tmp_path)
    assert newest_files(hub, REPO) == {"README.md": b"old"}


def test_a_file_that_cannot_be_read_is_no_matter_of_the_network(hub: Hub, tmp_path: Path) -> None:
    repository = find_repository(repository_name(REPO, "--push"), "--push", private=False)
    broken = {"model.safetensors": Path("/proc/self/mem")}  # can be opened, and not be read
    with pytest.raises(
        InputError,
        match=r"^--push acme/policy: a file of this host .*Input/output error.*; nothing was changed there$",
    ):
        push_files(repository, broken, private=False, owned=OWNED, message="Policy 2")
    assert ("model", REPO) not in hub.repositories


def test_what_others_pushed_meanwhile_is_not_replaced(hub: Hub, tmp_path: Path) -> None:
    hub.push(REPO, {"README.md": b"old"})
    repository = find_repository(repository_name(REPO, "--push"), "--push", private=False)
    hub.push(REPO, {"README.md": b"new"})
    with pytest.raises(InputError, match="somebody changed it meanwhile; nothing was changed there"):
        push_files(repository, files(tmp_path), private=False, owned=OWNED, message="Policy 2")
    assert newest_files(hub, REPO) == {"README.md": b"new"}


def test_a_card_that_the_hub_refuses_is_said_before_anything_is_sent(hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r'answers 400 Bad Request .*"license" must be one of a list.*; it was made, and is empty'
    ):
        push(tmp_path, changed={"README.md": b"---\nlicense: unheard-of\n---\n"})
    assert hub.uploads == {}


def test_what_is_refused_before_anything_is_changed(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.push("acme/public", {"README.md": b""})
    hub.push("acme/ignoring", {".gitignore": b"*"})
    before = dict(hub.repositories)
    with pytest.raises(InputError, match=r"^--push acme/public: is there already, and public; make it private"):
        push(tmp_path, "acme/public", private=True)
    with pytest.raises(InputError, match=r"^--push acme/ignoring: has a .gitignore"):
        push(tmp_path, "acme/ignoring")
    with pytest.raises(
        InputError, match=r"^--push closed/x: your token may not write to closed; .*nothing was changed"
    ):
        push(tmp_path, "closed/x")
    monkeypatch.setenv("HF_TOKEN", "hf_stranger")
    with pytest.raises(InputError, match=r"^--push acme/policy: the hub refuses your token; give one that may write"):
        push(tmp_path)
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(InputError, match=r"^--push acme/policy: the hub wants a token; give one .*\(HF_TOKEN, or"):
        push(tmp_path)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match="HF_HUB_OFFLINE forbids to ask the hub; unset it; nothing was changed"):
        push(tmp_path)
    assert hub.repositories == before


def test_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with pytest.raises(InputError, match=r"http://127.0.0.1:9 could not be reached .*; nothing was changed there"):
        push(tmp_path)


@pytest.mark.parametrize("name", ["policy", "a/b/c", "acme/policy@main", "acme/", "-a/b", "hub:acme/policy", ""])
def test_a_name_that_is_none(name: str) -> None:
    with pytest.raises(InputError, match="is no repository of the hub; write org/name"):
        repository_name(name, "--push")
