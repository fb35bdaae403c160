"""Pictures of the page of a run, by a headless Chromium: the two of README, or every place that is named.

    python tools/screenshots.py RUN                                  docs/report_light.png, docs/report_dark.png
    python tools/screenshots.py RUN --folder F '#/prompts' …         each place, wide and narrow, light and dark, whole

The two are of the rollout over whose tokens teacher and student differ most. Chromium: the system's, or MOPD_CHROMIUM.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import quote

from playwright.sync_api import sync_playwright

from flows.viewer.documents.viewed import ViewedRun
from flows.viewer.file import write_report
from storage.runs import RunFolder

DOCS = Path(__file__).parents[1] / "docs"
WIDE, NARROW = {"width": 1280, "height": 860}, {"width": 390, "height": 844}
THEMES = ("light", "dark")
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]
DRAWN = "main:not([aria-busy]) h1"
SETTLED_MS = 800
"""For charts and tables, which are drawn when they are in the page."""
_MOST_DISAGREEMENT = """
WITH tokens AS (
    SELECT round, prompt_id, sample, unnest(teacher_logprobs) AS teacher, unnest(proximal_logprobs) AS student
    FROM scores WHERE condition = ''
)
SELECT round, prompt_id, sample FROM tokens GROUP BY ALL
ORDER BY sum(abs(teacher - student)) DESC, prompt_id, sample LIMIT 1
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("places", nargs="*", help="addresses in the page: '#/prompts'")
    parser.add_argument("--folder", type=Path, default=DOCS)
    options = parser.parse_intermixed_args()
    chromium = os.environ.get("MOPD_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        parser.error("no Chromium: apt-get install chromium, or name one in MOPD_CHROMIUM")
    run = RunFolder.open(options.run)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as play:
        url = write_report([run], Path(folder) / "report.html").as_uri()
        browser = play.chromium.launch(executable_path=chromium, args=FLAGS)
        if options.places:
            every_picture(browser, url, options.places, options.folder)
        else:
            for theme in THEMES:
                place = rollout_place(run)
                picture(browser, url + place, options.folder / f"report_{theme}.png", theme, WIDE, sharp=1.5)


def every_picture(browser: Any, url: str, places: list[str], folder: Path) -> None:
    """Each place in both themes and widths, from its head to its foot."""
    folder.mkdir(parents=True, exist_ok=True)
    for place in places:
        name = place.removeprefix("#/").replace("/", "-")
        for theme in THEMES:
            for size in (WIDE, NARROW):
                file = folder / f"{name}-{theme}-{size['width']}.png"
                picture(browser, url + place, file, theme, size, whole=True)


def picture(
    browser: Any, url: str, file: Path, theme: str, size: dict[str, int], *, sharp: float = 1, whole: bool = False
) -> None:
    """What somebody sees there; `sharp`: pixels of the picture by pixels of the page."""
    tab = browser.new_page(viewport=size, color_scheme=theme, device_scale_factor=sharp)
    tab.on("console", lambda message: print(f"{url}: {message.text}"))
    tab.on("pageerror", lambda error: print(f"{url}: {error}"))
    tab.goto(url)
    tab.wait_for_selector(DRAWN)
    tab.wait_for_timeout(SETTLED_MS)
    tab.screenshot(path=file, full_page=whole)
    tab.close()
    print(file)


def rollout_place(run: RunFolder) -> str:
    """Of the rollout with the most disagreement."""
    (row,) = ViewedRun(run, run.run_id).ask(_MOST_DISAGREEMENT)
    return f"#/round/{row['round']}/prompt/{quote(row['prompt_id'], safe='')}/sample/{row['sample']}"


if __name__ == "__main__":
    main()
