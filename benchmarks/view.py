"""What `mopd view` answers of a big run, and how soon: each document, and each view in a headless Chromium.

    python benchmarks/view.py --rounds 100 --shards 160 --run FOLDER --out benchmarks/results/view.json

The run is made up (`made_up_run.py`), with the index that `mopd run` leaves and a measure of a thousand rows. One
server answers all but for comparisons, for which another one has the run under two addresses. `first` is the first
answer that it gives to a question of a kind, and takes in what is kept from then on; `again` is the best of `--repeats`
of others of the same kind: another page, group, rollout or round. Seconds are by the clock, and, as `cpu`, of the
server's CPU (first, again), which other work on the machine changes less. Before it is asked, the server makes what it
keeps of a big run: `ready` says what that took. Views are gone to from another one; seconds until what they show stands
there: rows that were answered, charts that are drawn, tokens. Memory is the server's peak.
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
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import psutil
from made_up_run import PROMPTS, SAMPLES, make_index, read_options
from results_file import add_result

from flows.report.report import Report
from flows.report.table import Table
from storage.index import INDEX

Server = subprocess.Popen[str]
Question = tuple[str, dict[str, Any]]
"""A path and its parameters."""
MEASURE = Path("analysis", "made_up")
IDLE_SECONDS, IDLE_CPU = 10.0, 0.1
"""A server that takes less of the CPU in so many seconds has nothing to do."""
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]


def main() -> None:
    options = read_options(__doc__)
    complete(options.run, options.rounds)
    load = os.getloadavg()[0]
    results: list[dict[str, Any]] = []
    with serve(options.run) as (address, server):
        told = itertools.chain(
            [wait_until_idle(server)], measure_answers(address, server, options), measure_views(address, options)
        )
        tell(told, results)
        memory = peak_memory(server)
    with serve(options.run, twin_of(options.run)) as (address, server):
        wait_until_idle(server)
        tell(measure_comparison(address, server, options), results)
    if options.out is not None:
        size = {"rounds": options.rounds, "rollouts": options.rounds * options.shards * PROMPTS * SAMPLES}
        size["tokens of a reply"] = options.tokens
        add_result(options.out, results, **size, load=round(load, 2), **{"MiB of the server": memory})


def tell(told: Iterable[dict[str, Any]], results: list[dict[str, Any]]) -> None:
    """Print each result, and keep it."""
    for result in told:
        print(result, flush=True)
        results.append(result)


def complete(run: Path, rounds: int) -> None:
    """What a run that is made up lacks still: its index, and something that was measured of it."""
    if not (run / INDEX).exists():
        make_index(run, rounds)
    rows = [{"round": number, "name": f"row {number}", "value": number / 7} for number in range(1000)]
    table = Table.of(rows)
    Report("Made up", ["So many rows.", table], [], table).write(run / MEASURE)


def twin_of(run: Path) -> Path:
    """The run under another address: a folder of its own, whose files are the run's."""
    twin = run.with_name(f"{run.name}-twin")
    twin.mkdir(exist_ok=True)
    for entry in run.iterdir():
        if not (twin / entry.name).exists():
            (twin / entry.name).symlink_to(entry.resolve())
    return twin


@contextmanager
def serve(*runs: Path) -> Iterator[tuple[str, Server]]:
    """The address, once it answers."""
    command = [sys.executable, "-m", "flows.cli", "view", *map(str, runs), "--port", "0"]
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


def measure_answers(address: str, server: Server, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Seconds and bytes of each kind of answer."""
    place, _, token = address.partition("#token=")
    (entry,) = ask(place, token, "api/directory", {})["runs"]
    for kind, question in questions(place, token, entry["id"], options).items():
        yield measure_answer(place, token, server, kind, question, options.repeats)


def questions(place: str, token: str, id: str, options: argparse.Namespace) -> dict[str, Callable[[], Question]]:
    """What is asked of a run, another one each time where there are others."""
    run = f"api/run/{quote(id, safe='')}"
    prompts = iter(list_prompts(place, token, run, options))
    rounds = itertools.cycle(range(options.rounds))
    widest = {"order": '[["disagreement", "desc"]]'}
    return {
        "directory": lambda: ("api/directory", {}),
        "row of the list": lambda: (f"{run}/row", {}),
        "overview": lambda: (f"{run}/overview", {}),
        "prompt filters": lambda: (f"{run}/prompt_filters", {}),
        "prompts": lambda: (f"{run}/prompts", {"start": 25 * next(rounds)}),
        "prompts by pass rate": lambda: (f"{run}/prompts", {"order": '[["pass_rate", "desc"]]', "start": next(rounds)}),
        "prompts, searched": lambda: (f"{run}/prompts", {"search": f"task-00{next(rounds):02d}"}),
        "group": lambda: (f"{run}/group", next(prompts)),
        "rounds of a prompt": lambda: (f"{run}/prompt_rounds", {"prompt": next(prompts)["prompt"]}),
        "rollout": lambda: (f"{run}/rollout", {**next(prompts), "sample": 0}),
        "rounds": lambda: (f"{run}/rounds", {}),
        "rollouts of a round": lambda: (f"{run}/rollouts", {"round": next(rounds)}),
        "rollouts by disagreement": lambda: (f"{run}/rollouts", {"round": next(rounds), **widest}),
        "neighbours": lambda: (f"{run}/neighbours", {**next(prompts), "sample": 0}),
        "neighbours by disagreement": lambda: (f"{run}/neighbours", {**next(prompts), "sample": 0, **widest}),
        "vocabulary": lambda: (f"{run}/vocabulary", {}),
        "measures": lambda: ("api/measures", {}),
        "changes": lambda: ("api/changes", {"run": id, "since": 1}),
        "SQL, a named query": lambda: ("api/sql", {"run": id, "named": "pass_rate", "sql": "", "parameters": {}}),
    }


def measure_answer(
    place: str, token: str, server: Server, kind: str, question: Callable[[], Question], repeats: int
) -> dict[str, Any]:
    """Seconds by the clock and of the server's CPU, of the first one and of the best of others; kilobytes."""
    seconds, cpu = [], []
    for _ in range(1 + repeats):
        began, cpu_began = time.perf_counter(), cpu_of(server)
        answer = ask(place, token, *question())
        seconds.append(round(time.perf_counter() - began, 3))
        cpu.append(round(cpu_of(server) - cpu_began, 2))
    clock = {"first": seconds[0], "again": min(seconds[1:])}
    return {"asked": kind, **clock, "cpu": [cpu[0], min(cpu[1:])], "kB": len(json.dumps(answer)) // 1000}


def measure_comparison(address: str, server: Server, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """The run beside itself, as two."""
    place, _, token = address.partition("#token=")
    yield measure_answer(place, token, server, "pairs", lambda: ("api/pairs", {}), options.repeats)
    with open_tab(address) as tab:
        yield measure_view(tab, "#/compare", ".curves svg.marks", options.repeats)


def list_prompts(place: str, token: str, run: str, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Groups of several rounds."""
    request = {"length": 8 * (options.repeats + 1), "order": '[["prompt_id", "desc"]]'}
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
    place, _, token = address.partition("#token=")
    (entry,) = ask(place, token, "api/directory", {})["runs"]
    group = next(list_prompts(place, token, f"api/run/{quote(entry['id'], safe='')}", options))
    there = f"#/round/{group['round']}/prompt/{quote(group['prompt'], safe='')}"
    shown = {
        "#/runs": "tbody .badge",
        "#/overview": ".curves svg.marks",
        "#/prompts": ".table:not(.unanswered) tbody .prompt-name",
        there: ".reply",
        f"{there}/sample/0": ".tokens > *",
        "#/rollouts": ".table:not(.unanswered) tbody td a",
        "#/measures": "tbody td",
        "#/sql": "textarea",
    }
    began = time.perf_counter()
    with open_tab(address) as tab:
        yield {"opened": "the page, and a browser", "seconds": round(time.perf_counter() - began, 2)}
        for view, what in shown.items():
            yield measure_view(tab, view, what, options.repeats)


@contextmanager
def open_tab(address: str) -> Iterator[Any]:
    """The page in a browser, at the licences, which ask for nothing."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        chromium = os.environ.get("MOPD_CHROMIUM") or shutil.which("chromium")
        browser = play.chromium.launch(executable_path=chromium, args=FLAGS)
        tab = browser.new_page()
        tab.goto(f"{address}#/libraries")
        leave(tab)
        yield tab
        browser.close()


def measure_view(tab: Any, view: str, what: str, repeats: int) -> dict[str, Any]:
    """Seconds until what it shows stands there, the first time and the best of others."""
    seconds = [go(tab, view, what) for _ in range(1 + repeats)]
    return {"view": view, "first": seconds[0], "again": min(seconds[1:])}


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
