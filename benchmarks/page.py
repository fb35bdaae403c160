"""How fast the page of a report opens, and each of its views: of a real run, and of many copies of its rollouts.

    python benchmarks/page.py --of runs/demo --rollouts 10000 --folder FOLDER --out benchmarks/results/page.json

The copies are of another run: the same shards, whose groups are there so often under prompts of other names. `write` is
the command `mopd report`, by the clock and of the CPU. Then a headless Chromium opens the file at each view's address:
seconds until what it shows stands there (a chart, rows, replies, tokens), and, with the page open, seconds to go to it
from another; best of `--repeats`.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from results_file import add_result

from storage.lookup import manifests
from storage.runs import RunFolder
from storage.schemas import SCHEMAS
from storage.shards import commit_shard

NOT_COPIED = ("evaluations",)
"""Tables with prompts that don't grow."""
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]
LEFT = "Libraries and licences"
"""The heading of the place from which a view is gone to."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--of", type=Path, required=True, help="a finished run")
    parser.add_argument("--rollouts", type=int, default=10_000, help="about so many, of copies")
    parser.add_argument("--folder", type=Path, required=True, help="for the copies and the pages")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    run = RunFolder.open(options.of)
    num_rollouts = count(run)
    copies = options.folder / "copies"
    if not copies.exists():
        make_copies(run, copies, -(-options.rollouts // num_rollouts))
    results = [measure(path, options.folder, options.repeats) for path in (options.of, copies)]
    for result in results:
        print(result)
    if options.out is not None:
        add_result(options.out, results, load=round(os.getloadavg()[0], 2))


def count(run: RunFolder) -> int:
    """Rollouts of a run."""
    return sum(manifest.rows for manifest in manifests(run, "rollouts"))


def make_copies(run: RunFolder, path: Path, times: int) -> None:
    """A run of the same shards under the same keys, each group of which is there so often."""
    copy = RunFolder.create(path, {name: value for name, value in run.document.items() if name != "run_id"})
    for table in SCHEMAS:
        for manifest in manifests(run, table, name=None):
            content = pq.read_table(run.path / manifest.file)
            if "prompt_id" in content.column_names and table not in NOT_COPIED:
                content = pa.concat_tables(renamed(content, number) for number in range(times))
            commit_shard(
                copy,
                table,
                round=manifest.round,
                shard=manifest.shard,
                key=manifest.key,
                rows=content.to_pylist(),
                parents=manifest.parents,
                info=manifest.info,
                name=manifest.name,
            )


def renamed(content: pa.Table, number: int) -> pa.Table:
    """The rows under other prompts; the first copy keeps its own."""
    if number == 0:
        return content
    place = content.column_names.index("prompt_id")
    names = pc.binary_join_element_wise(content["prompt_id"], f"copy{number:03d}", "-")
    return content.set_column(place, content.schema.field(place), names)


def measure(run: Path, folder: Path, repeats: int) -> dict[str, Any]:
    """What the page of a run costs."""
    file = folder / f"{run.name}.html"
    written = write(run, file)
    opened_run = RunFolder.open(run)
    (rollout, *_) = pq.read_table(run / manifests(opened_run, "rollouts")[0].file).slice(0, 1).to_pylist()
    group = f"#/round/{rollout['round']}/prompt/{quote(rollout['prompt_id'], safe='')}"
    places = {
        "#/overview": "figure.chart svg, figure.chart canvas",
        "#/prompts": ".prompt-name",
        group: ".card.reply",
        "#/rollouts": "tbody tr.way",
        f"{group}/sample/{rollout['sample']}": ".reading [role=option]",
        "#/measures": "h1",
    }
    opened = [open_page(file.resolve().as_uri(), places) for _ in range(repeats)]
    best = {kind: {place: min(one[kind][place] for one in opened) for place in places} for kind in ("open", "go")}
    return {
        "rollouts": count(RunFolder.open(run)),
        **written,
        "seconds to open": best["open"],
        "seconds to go to": best["go"],
    }


def write(run: Path, file: Path) -> dict[str, Any]:
    """`mopd report`: seconds, peak memory, bytes."""
    began = time.perf_counter()
    words = [sys.executable, "-m", "flows.cli", "report", str(run), "-o", str(file), "--max-megabytes", "1000"]
    command = subprocess.Popen(words)
    _, status, usage = os.wait4(command.pid, 0)
    assert status == 0, f"{words} failed"
    seconds = {"seconds": round(time.perf_counter() - began, 1), "cpu": round(usage.ru_utime + usage.ru_stime, 1)}
    return {"write": seconds, "MiB": usage.ru_maxrss // 1024, "MB of the file": round(file.stat().st_size / 1e6, 2)}


def open_page(url: str, places: dict[str, str]) -> dict[str, dict[str, float]]:
    """Seconds until each place shows what is to be seen there: opened by its address, and gone to from another one."""
    from playwright.sync_api import sync_playwright

    chromium = os.environ.get("MOPD_CHROMIUM") or shutil.which("chromium")
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=FLAGS)
        tab = browser.new_page()
        tab.set_default_timeout(120_000)
        opened, gone = {}, {}
        for place, what in places.items():
            tab.goto("about:blank")
            began = time.perf_counter()
            tab.goto(url + place, wait_until="commit")
            tab.locator(f"main:not([aria-busy]) :is({what})").first.wait_for()
            opened[place] = round(time.perf_counter() - began, 2)
        for place, what in places.items():
            tab.evaluate("location.hash = '#/libraries'")
            tab.get_by_role("heading", name=LEFT).wait_for()
            began = time.perf_counter()
            tab.evaluate("place => { location.hash = place }", place)
            tab.get_by_role("heading", name=LEFT).wait_for(state="detached")
            tab.locator(f"main:not([aria-busy]) :is({what})").first.wait_for()
            gone[place] = round(time.perf_counter() - began, 2)
        browser.close()
    return {"open": opened, "go": gone}


if __name__ == "__main__":
    main()
