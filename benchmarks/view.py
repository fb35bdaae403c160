"""What `mopd view` answers of a big run, and how soon: each document, and each view in a headless Chromium.

    python benchmarks/view.py --rounds 100 --shards 160 --run FOLDER --out benchmarks/results/view.json

The run is made up (`made_up_run.py`), with the index that `mopd run` leaves. One server answers all: `first` is the
first answer that it gives to a question of a kind, and takes in what is kept from then on; `again` is the best of
`--repeats` of others of the same kind: another page, group, rollout or round. Seconds are by the clock, and, as `cpu`,
of the server's CPU (first, again), which other work on the machine changes less. Before it is asked, the server makes
what it keeps of a big run: `ready` says what that took. Views are gone to from another one; seconds until what they
show stands there. Memory is the server's peak.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import psutil
from made_up_run import PROMPTS, SAMPLES, make_index, read_options
from results_file import add_result

from storage.index import INDEX

Server = subprocess.Popen[str]
IDLE_SECONDS, IDLE_CPU = 10.0, 0.1
"""A server that takes less of the CPU in so many seconds has nothing to do."""
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]


def main() -> None:
    options = read_options(__doc__)
    if not (options.run / INDEX).exists():
        make_index(options.run, options.rounds)
    load = os.getloadavg()[0]
    with serve(options.run) as (address, server):
        results = []
        for result in itertools.chain(
            [wait_until_idle(server)], measure_answers(address, server, options), measure_views(address, options)
        ):
            print(result, flush=True)
            results.append(result)
        memory = peak_memory(server)
    if options.out is not None:
        size = {"rounds": options.rounds, "rollouts": options.rounds * options.shards * PROMPTS * SAMPLES}
        add_result(options.out, results, **size, load=round(load, 2), **{"MiB of the server": memory})


@contextmanager
def serve(run: Path) -> Iterator[tuple[str, Server]]:
    """The address, once it answers."""
    command = [sys.executable, "-m", "flows.cli", "view", str(run), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        found = re.search(r"http\S+", server.stdout.readline())
        assert found is not None
        try:
            yield found[0], server
        finally:
            server.terminate()


def wait_until_idle(server: Server) -> dict[str, Any]:
    """What the server does by itself, before anybody asks."""
    began = time.perf_counter()
    before = -1.0
    while cpu_of(server) - before > IDLE_CPU:
        before = cpu_of(server)
        time.sleep(IDLE_SECONDS)
    seconds = round(time.perf_counter() - began - IDLE_SECONDS, 1)
    return {"ready": "what is kept of a big run", "seconds": seconds, "cpu": round(cpu_of(server), 1)}


def cpu_of(server: Server) -> float:
    """Seconds of the CPU by now."""
    times = psutil.Process(server.pid).cpu_times()
    return float(times.user + times.system)


def measure_answers(
    address: str, server: subprocess.Popen[str], options: argparse.Namespace
) -> Iterator[dict[str, Any]]:
    """Seconds and bytes of each kind of answer."""
    place, _, token = address.partition("#token=")
    (entry,) = ask(place, token, "api/directory", {})["runs"]
    run = f"api/run/{quote(entry['id'], safe='')}"
    prompts = iter(list_prompts(place, token, run, options))
    rounds = itertools.cycle(range(options.rounds))
    kinds: dict[str, Callable[[], tuple[str, dict[str, Any]]]] = {
        "directory": lambda: ("api/directory", {}),
        "row of the list": lambda: (f"{run}/row", {}),
        "overview": lambda: (f"{run}/overview", {}),
        "prompt filters": lambda: (f"{run}/prompt_filters", {}),
        "prompts": lambda: (f"{run}/prompts", {"start": 25 * next(rounds)}),
        "prompts by pass rate": lambda: (f"{run}/prompts", {"order": '[["pass_rate", "desc"]]', "start": next(rounds)}),
        "prompts, searched": lambda: (f"{run}/prompts", {"search": f"task-00{next(rounds):02d}"}),
        "group": lambda: (f"{run}/group", next(prompts)),
        "rollout": lambda: (f"{run}/rollout", {**next(prompts), "sample": 0}),
        "rounds": lambda: (f"{run}/rounds", {}),
        "rollouts of a round": lambda: (f"{run}/rollouts", {"round": next(rounds)}),
        "changes": lambda: ("api/changes", {"run": entry["id"], "since": 1}),
        "SQL, a named query": lambda: (
            "api/sql",
            {"run": entry["id"], "named": "pass_rate", "sql": "", "parameters": {}},
        ),
    }
    for kind, question in kinds.items():
        seconds, cpu = [], []
        for _ in range(1 + options.repeats):
            began, cpu_began = time.perf_counter(), cpu_of(server)
            answer = ask(place, token, *question())
            seconds.append(round(time.perf_counter() - began, 3))
            cpu.append(round(cpu_of(server) - cpu_began, 2))
        clock = {"first": seconds[0], "again": min(seconds[1:])}
        yield {"asked": kind, **clock, "cpu": [cpu[0], min(cpu[1:])], "kB": len(json.dumps(answer)) // 1000}


def list_prompts(place: str, token: str, run: str, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Groups of several rounds."""
    request = {"length": 4 * (options.repeats + 1), "order": '[["prompt_id", "desc"]]'}
    for number, row in enumerate(ask(place, token, f"{run}/prompts", request)["rows"]):
        yield {"round": row["rounds"][number % len(row["rounds"])][0], "prompt": row["prompt_id"]}


def ask(place: str, token: str, path: str, parameters: dict[str, Any]) -> Any:
    """An answer; of SQL, a question that is posted."""
    body = json.dumps(parameters).encode() if path == "api/sql" else None
    url = f"{place}{path}" if body else f"{place}{path}?{urlencode(parameters)}"
    request = urllib.request.Request(url, body, {"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, timeout=600) as answer:
        return json.load(answer)


def measure_views(address: str, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Seconds until each view stands there: gone to from the licences, and, `again`, once more."""
    from playwright.sync_api import sync_playwright

    place, _, token = address.partition("#token=")
    (entry,) = ask(place, token, "api/directory", {})["runs"]
    group = next(list_prompts(place, token, f"api/run/{quote(entry['id'], safe='')}", options))
    there = f"#/round/{group['round']}/prompt/{quote(group['prompt'], safe='')}"
    shown = {
        "#/runs": "tbody .badge",
        "#/overview": "h1",
        "#/prompts": "tbody tr td",
        there: ".card",
        f"{there}/sample/0": "h1",
        "#/rollouts": "tbody tr td",
        "#/sql": "textarea",
    }
    with sync_playwright() as play:
        chromium = os.environ.get("MOPD_CHROMIUM") or shutil.which("chromium")
        browser = play.chromium.launch(executable_path=chromium, args=FLAGS)
        tab = browser.new_page()
        began = time.perf_counter()
        tab.goto(f"{address}#/libraries")
        leave(tab)
        yield {"opened": "the page", "seconds": round(time.perf_counter() - began, 2)}
        for view, what in shown.items():
            seconds = [go(tab, view, what) for _ in range(1 + options.repeats)]
            yield {"view": view, "first": seconds[0], "again": min(seconds[1:])}
        browser.close()


def go(tab: Any, view: str, what: str) -> float:
    """Seconds from the licences to a view."""
    leave(tab)
    began = time.perf_counter()
    tab.evaluate("view => { location.hash = view }", view)
    tab.locator(f"main:not([aria-busy]) {what}").first.wait_for(timeout=120_000)
    tab.get_by_role("heading", name="Libraries and licences").wait_for(state="detached")
    return round(time.perf_counter() - began, 2)


def leave(tab: Any) -> None:
    tab.evaluate("location.hash = '#/libraries'")
    tab.get_by_role("heading", name="Libraries and licences").wait_for()


def peak_memory(server: Server) -> int:
    """MiB."""
    status = Path(f"/proc/{server.pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) // 1024


if __name__ == "__main__":
    main()
