"""Promises of `mopd view` as a process, in a real browser: it starts, shows, follows a run and ends; or is one line."""

from __future__ import annotations

import signal
import socket
import stat
import subprocess
import sys
import threading
import webbrowser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse
from urllib.request import Request, urlopen

import pytest
from playwright.sync_api import expect

from flows.viewer.server.browser import shown_in_browser
from storage.runs import RunFolder
from tests.flows.viewer.server.conftest import make_run
from tests.flows.viewer.server.process import view
from tests.storage.storage_samples import commit, make_rows

NEWS_MILLISECONDS = 60_000
"""Looks come each second, where the machine has nothing else to do."""


def run_view(*words: str) -> tuple[int, str]:
    """The exit code and what stands on stderr of a command that doesn't start."""
    command = [sys.executable, "-m", "flows.cli", "view", *words]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120)
    return ended.returncode, ended.stderr


def commit_rollouts(run: RunFolder, shard: int) -> None:
    """Six rollouts of a prompt."""
    commit(run, "rollouts", make_rows("rollouts", run.run_id, prompts=(f"p{shard}",), samples=6), shard=shard)


@pytest.mark.browser
def test_from_the_address_to_ctrl_c(run: RunFolder, tab: Any) -> None:
    with view(run.address) as (address, process):
        tab.goto(address)
        tab.get_by_role("heading", level=1).wait_for()
        assert "token" not in tab.url
        tab.reload()
        tab.get_by_role("heading", level=1).wait_for()
        ask_the_query_box(tab)
        tab.goto("about:blank")  # the page would tell of the server's end
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 130
        assert process.stderr is not None and process.stderr.read() == ""


@pytest.mark.browser
def test_who_opens_another_tab_is_let_in_and_who_has_no_token_is_told(run: RunFolder, tab: Any, chromium: Any) -> None:
    with view(run.address) as (address, _):
        tab.goto(address)
        tab.get_by_role("heading", level=1).wait_for()
        assert tab.context.cookies() == []
        place = f"{address.partition('#')[0]}#/prompts"
        other = tab.context.new_page()
        other.goto(place)
        other.get_by_role("heading", name="Prompts").wait_for()
        tab.goto("about:blank")  # all tabs share a token: this one would ask with a wrong one for a moment
        other.goto(f"{place.partition('#')[0]}#token=of-another-start")  # no other document for a browser
        told = "open the address that mopd view has printed"
        other.get_by_text(told).wait_for()
        other.goto(f"{address}#/prompts")
        other.get_by_role("heading", name="Prompts").wait_for()
        other.close()
        stranger = chromium.new_context().new_page()
        stranger.goto(place.replace("#", f"?{address.partition('#')[2]}#"))
        stranger.get_by_text(told).wait_for()
        stranger.context.close()


SLOW = """
import sys, time
from flows.viewer.documents.served import SERVED, Served

def make(run):
    print("making it", file=sys.stderr, flush=True)
    time.sleep(3600)

SERVED["rounds"] = Served(make)
from flows.cli import entry
entry()
"""


def test_ctrl_c_ends_it_at_once_while_a_document_is_made(run: RunFolder) -> None:
    with view(run.address, mopd=("-c", SLOW)) as (address, process):
        place, _, token = address.partition("#token=")
        request = Request(f"{place}api/run/run/rounds", headers={"Authorization": f"Bearer {token}"})
        threading.Thread(target=ask_in_vain, args=(request,), daemon=True).start()
        assert process.stderr is not None and process.stderr.readline() == "making it\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 130
        assert process.stderr.read() == ""


def ask_in_vain(request: Request) -> None:
    with pytest.raises(OSError):
        urlopen(request, timeout=120)


def test_a_browser_is_started_without_the_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every user of the host can read the words of a command."""
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    with shown_in_browser("http://127.0.0.1:8707/#token=the-token"):
        file = Path(unquote(urlparse(opened[0]).path))
        assert "the-token" not in opened[0] and "url=http://127.0.0.1:8707/#token=the-token" in file.read_text()
        assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert not file.parent.exists()


def ask_the_query_box(tab: Any) -> None:
    """A statement, its answer, and the way from a row to its rollout; an error; a query that has a name."""
    tab.get_by_role("link", name="SQL").click()
    box, run = tab.get_by_role("textbox", name="SQL"), tab.get_by_role("button", name="Run", exact=True)
    box.fill("SELECT round, prompt_id, sample, text FROM rollouts ORDER BY prompt_id, sample")
    run.click()
    tab.get_by_text("4 rows in").wait_for()
    assert tab.get_by_role("row").nth(1).inner_text().split() == ["open", "0", "a", "0", "15."]
    assert tab.get_by_role("link", name="open").first.get_attribute("href") == "#/round/0/prompt/a/sample/0"
    box.fill("SELECT rewar FROM rollouts")
    box.press("Control+Enter")
    tab.get_by_text('Referenced column "rewar" not found').wait_for()
    tab.get_by_label("what to ask").select_option("disliked_tokens")
    tab.get_by_label("limit").fill("2")
    run.click()
    tab.get_by_text("2 rows in").wait_for()


@pytest.mark.browser
def test_what_is_committed_meanwhile_is_told_of_and_shown(run: RunFolder, tab: Any) -> None:
    with view(run.address) as (address, _):
        tab.goto(f"{address}#/overview")
        tab.get_by_role("heading", level=1).wait_for()
        commit_rollouts(run, 1)
        news = tab.get_by_role("status").filter(has_text="6 rollouts came since this was shown")
        news.wait_for(timeout=NEWS_MILLISECONDS)
        news.get_by_role("button", name="show").click()
        tab.locator("#news:empty").wait_for(state="attached")
        commit_rollouts(run, 2)
        news.wait_for(timeout=NEWS_MILLISECONDS)  # of the second shard alone
        tab.goto("about:blank")


@pytest.mark.browser
def test_the_list_of_runs_follows_the_folder(run: RunFolder, tab: Any) -> None:
    runs = run.path.parent
    make_run(runs / "other")
    with view(str(runs)) as (address, _):
        tab.goto(address)
        tab.get_by_role("cell", name="50.0 %").or_(tab.get_by_role("cell", name="100.0 %")).first.wait_for()
        names = tab.locator("tbody tr td:first-child")
        assert sorted(names.all_inner_texts()) == ["other", "run"]
        make_run(runs / "third")
        tab.get_by_role("link", name="third").wait_for(timeout=NEWS_MILLISECONDS)
        tab.get_by_role("columnheader", name="run").click()
        expect(names).to_have_text(["other", "run", "third"])
        tab.get_by_role("link", name="third").click()
        tab.wait_for_url("**/#/run/third/overview")
        tab.goto("about:blank")


def test_a_port_that_is_taken(run: RunFolder) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, said = run_view(run.address, "--port", str(port))
    assert (code, said) == (2, f"mopd: --port {port}: is taken; name another one, or 0 for one that is free\n")


def test_what_is_no_run() -> None:
    line = "mopd: absent: is no run and holds none; name runs, a folder of runs, or a pattern in quotes\n"
    assert run_view("absent") == (2, line)


@pytest.mark.parametrize("port", ["-1", "65536"])
def test_what_is_no_port(run: RunFolder, port: str) -> None:
    code, said = run_view(run.address, "--port", port)
    assert (code, said.startswith(f"mopd: --port {port}: can't be listened to"), said.count("\n")) == (2, True, 1)
