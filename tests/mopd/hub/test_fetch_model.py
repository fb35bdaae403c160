"""Models by their hub names, with the hub's own client against a small hub on loopback."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from mopd.models.folders import model_digest, resolve_model
from tests.mopd.hub.client import fetch
from tests.mopd.hub.hub_server import Hub, serve_hub

REPO = "acme/tiny"
CONFIG = json.dumps({"model_type": "llama", "vocab_size": 8}).encode()
SMALL = {"config.json": CONFIG, "tokenizer.json": b"{}", "chat_template.jinja": b"{{ messages }}"}
WEIGHTS = {"model.safetensors": b"w" * 300_000}
LARGE_PART = 10 << 20
"""What the client writes at a time."""
LARGE_WEIGHTS = {"model.safetensors": bytes(range(256)) * (LARGE_PART // 128)}
BESIDE = {
    "README.md": b"# A model",
    "pytorch_model.bin": b"p" * 1000,
    "consolidated.safetensors": b"c" * 1000,
    "tiny-Q4.gguf": b"g" * 1000,
    "original/params.json": b"{}",
    "onnx/model.onnx": b"o" * 1000,
}


@pytest.fixture
def hub() -> Iterator[Hub]:
    """A hub with one model, whose weights lie there in several formats."""
    with serve_hub() as hub:
        hub.push(REPO, SMALL | WEIGHTS | BESIDE)
        yield hub


def test_only_the_files_that_are_needed_are_loaded(hub: Hub, tmp_path: Path) -> None:
    fetched = fetch(REPO, hub.url, tmp_path)
    commit = hub.repositories["model", REPO].refs["main"]
    assert fetched.name == f"{REPO}@{commit}"
    assert {path.name for path in fetched.folder.iterdir()} == {*SMALL, *WEIGHTS}
    assert {path.name: path.read_bytes() for path in fetched.folder.iterdir()} == SMALL | WEIGHTS
    assert hub.loaded() == {*SMALL, *WEIGHTS}
    assert fetched.printed == ""


def test_progress_counts_the_bytes_of_the_weights(hub: Hub, tmp_path: Path) -> None:
    reports = fetch(REPO, hub.url, tmp_path).progress
    assert {report["of"] for report in reports} == {300_000}
    assert [reports[0]["done"], reports[-1]["done"]] == [0, 300_000]


def test_a_pinned_name_needs_no_network(hub: Hub, tmp_path: Path) -> None:
    pinned = fetch(REPO, hub.url, tmp_path).name
    asked = len(hub.requests)
    again = fetch(pinned, hub.url, tmp_path)
    assert (again.name, len(hub.requests)) == (pinned, asked)


def test_a_branch_that_moved_is_another_commit(hub: Hub, tmp_path: Path) -> None:
    before = fetch(REPO, hub.url, tmp_path)
    hub.push(REPO, SMALL | {"model.safetensors": b"v" * 300_000})
    after = fetch(REPO, hub.url, tmp_path)
    assert before.name != after.name
    assert (before.folder / "model.safetensors").read_bytes()[:1] == b"w"
    assert (after.folder / "model.safetensors").read_bytes()[:1] == b"v"


def test_a_revision_may_be_a_branch_with_slashes(hub: Hub, tmp_path: Path) -> None:
    commit = hub.push(REPO, SMALL | {"model.safetensors": b"u"}, branch="refs/pr/1")
    assert fetch(f"{REPO}@refs/pr/1", hub.url, tmp_path).name == f"{REPO}@{commit}"


def test_without_a_network_the_cached_commit_is_taken(hub: Hub, tmp_path: Path) -> None:
    pinned = fetch(REPO, hub.url, tmp_path).name
    asked = len(hub.requests)
    assert fetch(REPO, hub.url, tmp_path, HF_HUB_OFFLINE="1").name == pinned
    assert fetch(REPO, hub.url, tmp_path, HF_HUB_OFFLINE="1", MOPD_CACHE=str(tmp_path / "other")).name == pinned
    assert len(hub.requests) == asked
    assert fetch(REPO, "http://127.0.0.1:9", tmp_path).name == pinned


def test_sharded_weights_are_those_of_the_index(hub: Hub, tmp_path: Path) -> None:
    shards = {f"model-0000{number}-of-00002.safetensors": b"%d" % number for number in (1, 2)}
    index = json.dumps({"weight_map": dict(zip("ab", shards, strict=True))}).encode()
    hub.push(REPO, SMALL | shards | BESIDE | {"model.safetensors.index.json": index})
    assert {path.name for path in fetch(REPO, hub.url, tmp_path).folder.iterdir()} == {
        *SMALL,
        *shards,
        "model.safetensors.index.json",
    }


def test_files_that_others_load_change_no_digest(hub: Hub, tmp_path: Path) -> None:
    folder = fetch(REPO, hub.url, tmp_path).folder
    digest = model_digest(folder)
    snapshot = next((tmp_path / "hf" / "hub").glob("models--acme--tiny/snapshots/*"))
    (snapshot / "pytorch_model.bin").write_bytes(b"p")
    assert model_digest(folder) == digest


def ranges_of(hub: Hub) -> list[str | None]:
    """What parts of weights were asked for."""
    return [part for method, path, part in hub.requests if method == "GET" and path.startswith("/stored/")]


def test_a_dropped_connection_is_taken_up_where_it_broke(hub: Hub, tmp_path: Path) -> None:
    hub.push(REPO, SMALL | LARGE_WEIGHTS)
    hub.drops = [LARGE_PART + 1000]
    fetched = fetch(REPO, hub.url, tmp_path)
    assert (fetched.folder / "model.safetensors").read_bytes() == LARGE_WEIGHTS["model.safetensors"]
    assert ranges_of(hub) == [None, f"bytes={LARGE_PART}-"]


def test_the_next_start_goes_on_where_one_gave_up(hub: Hub, tmp_path: Path) -> None:
    hub.push(REPO, SMALL | LARGE_WEIGHTS)
    hub.drops = [LARGE_PART + 1000, *[0] * 6]
    error = fetch(REPO, hub.url, tmp_path).error
    assert "could not be loaded" in error
    assert "start again, it goes on with what is in" in error
    hub.requests.clear()
    hub.drops.clear()
    fetched = fetch(REPO, hub.url, tmp_path)
    assert (fetched.folder / "model.safetensors").read_bytes() == LARGE_WEIGHTS["model.safetensors"]
    assert ranges_of(hub) == [f"bytes={LARGE_PART}-"]
    assert [(report["done"], report["begun"]) for report in fetched.progress] == [
        (0, 0),
        (LARGE_PART, LARGE_PART),
        (2 * LARGE_PART, LARGE_PART),
    ]


def test_a_damaged_part_is_loaded_again(hub: Hub, tmp_path: Path) -> None:
    digest = hashlib.sha256(WEIGHTS["model.safetensors"]).hexdigest()
    blobs = tmp_path / "hf" / "hub" / "models--acme--tiny" / "blobs"
    blobs.mkdir(parents=True)
    (blobs / f"{digest}.mopd.incomplete").write_bytes(b"x" * 1000)
    fetched = fetch(REPO, hub.url, tmp_path)
    assert (fetched.folder / "model.safetensors").read_bytes() == WEIGHTS["model.safetensors"]
    assert ranges_of(hub) == ["bytes=1000-", None]


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("acme/absent", "is neither a folder here nor a model of"),
        (f"{REPO}@nowhere", "has no revision nowhere; name a branch, a tag or a commit"),
        (f"{REPO}@{'0' * 40}", "has no revision"),
    ],
)
def test_what_is_not_there(hub: Hub, tmp_path: Path, name: str, problem: str) -> None:
    error = fetch(name, hub.url, tmp_path).error
    assert error.startswith(f"model.path: {name}: ")
    assert problem in error
    assert "\n" not in error


def test_gated_models_say_where_their_terms_are(hub: Hub, tmp_path: Path) -> None:
    hub.tokens = {"hf_reader", "hf_other"}
    repository = hub.repositories["model", REPO]
    repository.gated, repository.readers = True, {"hf_reader"}
    terms = f"is gated: accept its terms at {hub.url}/{REPO} with"
    assert f"{terms} that account's token (HF_TOKEN)" in fetch(REPO, hub.url, tmp_path).error
    assert f"{terms} the account of your token" in fetch(REPO, hub.url, tmp_path, HF_TOKEN="hf_other").error
    assert fetch(REPO, hub.url, tmp_path, HF_TOKEN="hf_reader").error == ""


def test_private_models_and_wrong_tokens(hub: Hub, tmp_path: Path) -> None:
    hub.tokens = {"hf_reader", "hf_other"}
    hub.repositories["model", REPO].readers = {"hf_reader"}
    assert "if it is private, give a token (HF_TOKEN" in fetch(REPO, hub.url, tmp_path).error
    assert "if it is private, give another token" in fetch(REPO, hub.url, tmp_path, HF_TOKEN="hf_other").error
    assert "the hub refuses your token" in fetch(REPO, hub.url, tmp_path, HF_TOKEN="hf_wrong").error
    assert fetch(REPO, hub.url, tmp_path, HF_TOKEN="hf_reader").error == ""


def test_no_network(tmp_path: Path) -> None:
    error = fetch(REPO, "http://127.0.0.1:9", tmp_path).error
    assert error.startswith(f"model.path: {REPO}: could not be loaded from http://127.0.0.1:9 (")
    assert "\n" not in error
    assert "HF_HUB_OFFLINE forbids" in fetch(REPO, "http://127.0.0.1:9", tmp_path, HF_HUB_OFFLINE="1").error


def test_pickled_weights_are_asked_for(hub: Hub, tmp_path: Path) -> None:
    hub.push("acme/pickled", SMALL | {"pytorch_model.bin": b"p"})
    refused = fetch("acme/pickled", hub.url, tmp_path)
    assert "pytorch_model.bin alone" in refused.error
    assert "set model.allow_pickled_weights to true" in refused.error
    assert "pytorch_model.bin" not in hub.loaded()
    allowed = fetch("acme/pickled", hub.url, tmp_path, allow_pickled=True)
    assert {path.name for path in allowed.folder.iterdir()} == {*SMALL, "pytorch_model.bin"}


def test_code_of_its_own_is_refused_before_weights_are_loaded(hub: Hub, tmp_path: Path) -> None:
    config = {"model_type": "their_own", "auto_map": {"AutoModelForCausalLM": "modeling.Their"}}
    hub.push("acme/custom", SMALL | WEIGHTS | {"config.json": json.dumps(config).encode(), "modeling.py": b"boom"})
    error = fetch("acme/custom", hub.url, tmp_path).error
    assert "needs code of its own (auto_map)" in error
    assert {"modeling.py", "model.safetensors"}.isdisjoint(hub.loaded())


def test_repositories_without_weights(hub: Hub, tmp_path: Path) -> None:
    hub.push("acme/empty", SMALL)
    assert "holds no model.safetensors" in fetch("acme/empty", hub.url, tmp_path).error


def test_a_hub_that_is_down_or_none(hub: Hub, tmp_path: Path) -> None:
    hub.push("acme/index", SMALL | {"model.safetensors.index.json": b"{}"})
    assert "model.safetensors.index.json can't be read" in fetch("acme/index", hub.url, tmp_path).error
    hub.broken = 503
    assert f"{hub.url} answers 503 Service Unavailable; try again later" in fetch(REPO, hub.url, tmp_path).error
    hub.broken = 200
    error = fetch(REPO, hub.url, tmp_path).error
    assert f"{hub.url} answers what is not understood" in error
    assert "\n" not in error


@pytest.mark.parametrize("path", ["./acme/tiny", "/acme/tiny", "~/acme/tiny", "a/b/c"])
def test_what_looks_like_a_path_is_a_folder(path: str) -> None:
    with pytest.raises(ValueError, match="is not a folder"):
        resolve_model(path)
