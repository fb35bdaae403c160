"""Tables, page, CSV and plot of a signal analysis, from rows that can be reckoned by hand."""

from __future__ import annotations

import csv
import io

import pytest

from flows.measure.contexts.signal_report import (
    SignalResults,
    coverage_table,
    difficulty_table,
    main_table,
    missing_table,
    other_table,
    signal_report,
    signal_table,
)
from flows.report.table import Table
from mopd.measures.signal_metrics import METRICS
from mopd.measures.signal_summary import POPULATIONS, SUMMARIZED, summarize_signals
from mopd.measures.signals import Rows, signal_rows
from mopd.settings.variants import PeerVariant
from tests.mopd.measures.signal_samples import group, joined

SUCCESS = PeerVariant(kind="success")
RIGHT, WRONG = [-1.0, -2.0, -3.0, -4.0], [-4.0, -3.0, -2.0, -1.0]


def rows_of(scores: list[float], other: list[float]) -> Rows:
    """Four prompts: hard, medium, one of failures alone, and an easy one with a crashed verifier twice."""
    return signal_rows(
        *joined(
            group("+---", scores, prompt_id="hard", lengths=[1, 2, 3, 4], roles=["", "f", "f", "f"]),
            group("++--", other, prompt_id="medium", lengths=[1, 2, 3, 4], roles=["f"] * 4, truncated=True),
            group("----", scores, prompt_id="wrong", lengths=[1, 2, 3, 4]),
            group("+++-??", [*scores, -5.0, None], prompt_id="easy", lengths=[1, 2, 3, 4, 5, 0], roles=["f"] * 6),
        ),
        SUCCESS,
    )


def results_of(rows_by_name: dict[str, Rows], reference: str | None = "none") -> SignalResults:
    signals = summarize_signals(rows_by_name, reference=reference, num_samples=200, seed=0)
    return SignalResults(rows_by_name, signals, reference)


def titles_of(table: Table) -> list[str]:
    return [column.title for column in table.shown_columns]


def titled(table: Table) -> list[dict[str, object]]:
    """Rows by what stands above the columns."""
    return [dict(zip(titles_of(table), row.values(), strict=True)) for row in table.shown()]


@pytest.fixture(scope="module")
def results() -> SignalResults:
    return results_of({"none": rows_of(WRONG, WRONG), "positive": rows_of(RIGHT, WRONG)})


def test_the_terminals_table(results: SignalResults) -> None:
    first, second = titled(signal_table(results))
    assert first == {
        "variant": "none",
        "prompts": 3,
        "success AUC": "0.000 [0.000, 0.000]",
        "minus none": None,
        "pairs": "0.000",
        "Spearman": "-0.815",  # (2 * 0.7746 + 0.8944) / 3
        "top-1": "0.000",
        "gain AUC": "0.000",
        "length AUC": "1.000",
        "context": "12",
        "cut": "33.3 %",
    }
    assert second["success AUC"] == "0.667 [0.000, 1.000]"
    assert second["minus none"] == "+0.667 [+0.000, +1.000]"


def test_the_table_fits_a_terminal() -> None:
    names = ["none", "unrelated_prompt", "contrastive+feedback"]
    text = signal_report(results_of({name: rows_of(WRONG, RIGHT) for name in names}), command="").terminal()
    table = text.split("\n\n")[0].splitlines()
    assert len(table) == 2 + len(names)
    assert max(map(len, table)) <= 140


def test_without_a_reference_there_is_no_difference() -> None:
    lone = results_of({"success": rows_of(RIGHT, RIGHT)}, reference=None)
    assert not [
        title
        for table in (signal_table(lone), main_table(lone, "mixed"))
        for title in titles_of(table)
        if "minus" in title
    ]


def test_nulls_stand_where_there_are_any(results: SignalResults) -> None:
    assert "nulls" not in titles_of(signal_table(results))
    part = signal_table(results, "sections").shown()[0]
    assert (part["prompts"], part["nulls"]) == (2, 2)  # of the hard prompt, the only success was shown none


def test_the_pages_tables(results: SignalResults) -> None:
    table = main_table(results, "mixed")
    assert titles_of(table) == [
        *("variant", "prompts", "success AUC", "minus none", "pairwise accuracy", "minus none", "gain AUC"),
        *("minus none", "length AUC"),
    ]
    assert table.shown()[1]["gain_auc"] == "0.667 [0.000, 1.000]"
    assert titled(other_table(results))[0]["point-biserial"] == "-0.815 [-0.894, -0.775]"
    counts = {f"{bucket} prompts": 1 for bucket in ("hard", "medium", "easy")}
    aucs = {"hard": "1.000", "medium": "0.000", "easy": "1.000"}
    assert difficulty_table(results).shown()[1] == {"variant": "positive", **counts, **aucs}


def test_coverage(results: SignalResults) -> None:
    assert titled(coverage_table(results))[0] == {
        "variant": "none",
        "prompts": 4,
        "rollouts": 18,
        "not scored": 2,
        "with all sections": "68.8 %",  # 3 of 4, all, none, all
        "cut": "25.0 %",
        "context tokens": "12",
        "reply tokens": "2",
        "Spearman of score and length": "1.000 [1.000, 1.000]",
    }


def test_why_numbers_are_missing(results: SignalResults) -> None:
    assert missing_table(results).rows[:2] == [
        {"variant": "none", "rollouts": "all", "one outcome": 1, "one reward": 1},
        {
            "variant": "none",
            "rollouts": "with all sections",
            "one outcome": 1,
            "one reward": 1,
            "no rollout with the sections": 1,
        },
    ]


def test_the_page(results: SignalResults) -> None:
    page = signal_report(results, command="mopd signal RUN", about="Two cores.").page()
    head = page.split("\n\n")
    assert head[:2] == ["# Does the teacher see what the verifier sees?", "    mopd signal RUN"]
    assert head[2:4] == [
        "Run r, round 3, teacher ema (version 3): 4 prompts, 3 of them with both outcomes; 18 rollouts, 2 of them "
        "without a score or a verdict.",
        "Two cores.",
    ]
    titles = [line for line in page.splitlines() if line.startswith("## ")]
    assert titles == [
        "## Prompts with both outcomes",
        "## Rollouts whose context had all sections",
        "## By difficulty",
        "## Contexts and lengths",
        "## What is missing",
        "## How to read this",
    ]
    assert "| positive | 3 | 0.667 [0.000, 1.000] | +0.667 [+0.000, +1.000] |" in page
    assert "nan" not in page and "None" not in page


def test_csv_has_every_estimate_in_full(results: SignalResults) -> None:
    lines = list(csv.DictReader(io.StringIO(signal_report(results, command="").numbers.csv())))
    assert len(lines) == 2 * len(POPULATIONS) * len(SUMMARIZED)
    assert [*lines[0]] == [
        *("name", "population", "metric", "value", "low", "high", "num_prompts", "num_null"),
        *("reference", "difference", "difference_low", "difference_high", "num_paired"),
    ]
    by_key = {(line["name"], line["population"], line["metric"]): line for line in lines}
    assert by_key["positive", "mixed", "success_auc"] == dict(
        zip(
            lines[0],
            ("positive", "mixed", "success_auc", str(2 / 3), "0.0", "1.0", "3", "0")
            + ("none", str(2 / 3), "0.0", "1.0", "3"),
            strict=True,
        )
    )
    first = by_key["none", "hard", "success_auc"]
    assert (first["value"], first["low"], first["reference"], first["difference"]) == ("0.0", "", "", "")


@pytest.mark.parametrize("number", [1, 16])
def test_plot(number: int) -> None:
    names = ["none", *(f"a_variant_of_some_length_{index}" for index in range(1, number))]
    (figure,) = signal_report(results_of({name: rows_of(RIGHT, WRONG) for name in names}), command="").figures
    assert figure.png().startswith(b"\x89PNG")


def test_a_plot_of_nothing_that_is_defined() -> None:
    rows = signal_rows(*group("--", [-1.0, -2.0]), SUCCESS)
    empty = results_of({"none": rows})
    assert signal_report(empty, command="").figures[0].png()
    (row,) = signal_table(empty).shown()
    assert (row["prompts"], row["success_auc"]) == (0, None)
    assert [empty.find("none", "mixed", metric).value for metric in METRICS] == [None] * len(METRICS)
