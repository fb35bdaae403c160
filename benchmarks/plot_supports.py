"""Draws the result of supports.py, and writes its tables into the page.

python benchmarks/plot_supports.py benchmarks/results/supports.json docs/supports.png docs/supports.md
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from flows.report.vega import DASHED, PALETTE, SCHEMA, SOLID, draw_png

SUPPORTS = ("student", "teacher", "union")
LINES = {"bucket": SOLID, "renormalize": DASHED}
MEASURES = {"relative_error": "loss", "grad_relative_error": "gradient"}
NAMES = {0.0: "forward KL (α = 0)", 0.5: "Jensen-Shannon (α = 0.5)", 1.0: "reverse KL (α = 1)"}
DETAILED = ("round 0", 0.5)
Report = dict[str, Any]


def main() -> None:
    source, picture, page = map(Path, sys.argv[1:])
    report = json.loads(source.read_text())
    draw(report["scenarios"]["round 0"]["cases"], picture)
    text = page.read_text()
    for name, table in tables(report).items():
        text = re.sub(f"(<!-- {name}: begin -->\n).*?(<!-- {name}: end -->)", rf"\g<1>{table}\n\g<2>", text, flags=re.S)
    page.write_text(text)


def draw(cases: list[Report], target: Path) -> None:
    """Error by k, both axes logarithmic: a column an alpha, losses above, gradients below."""
    rows = [
        {**case, "error": 100 * case[measure], "of": what, "divergence": NAMES[case["alpha"]]}
        for measure, what in MEASURES.items()
        for case in cases
    ]
    panels = [panel(rows, what, title) for what in MEASURES.values() for title in NAMES.values()]
    target.write_bytes(draw_png({"$schema": SCHEMA, "columns": len(NAMES), "concat": panels}))


def panel(rows: list[Report], what: str, title: str) -> Report:
    """The errors of one divergence's loss, or of its gradient."""
    values = [row for row in rows if (row["of"], row["divergence"]) == (what, title)]
    ends = [end([row["error"] for row in rows if row["of"] == what]) for end in (min, max)]
    ks = sorted({row["k"] for row in rows})
    return {
        "data": {"values": values},
        "title": title if what == "loss" else "",
        "width": 240,
        "height": 200,
        "mark": {"type": "line", "point": True},
        "encoding": {
            "x": {"field": "k", "type": "quantitative", "scale": {"type": "log"}, "axis": {"values": ks}},
            "y": {
                "field": "error",
                "type": "quantitative",
                "scale": {"type": "log", "domain": ends},
                "title": f"relative error of the {what}, %",
            },
            "color": {"field": "support", "scale": {"domain": [*SUPPORTS], "range": [*PALETTE[:3]]}},
            "strokeDash": {
                "field": "tail",
                "scale": {"domain": [*LINES], "range": [*LINES.values()]},
                "legend": {"symbolType": "stroke", "symbolStrokeColor": "black", "symbolSize": 400},
            },
        },
    }


def tables(report: Report) -> dict[str, str]:
    """Markdown by the name of its place in the page."""
    scenarios = report["scenarios"]
    name, alpha = DETAILED
    cases = [case for case in scenarios[name]["cases"] if case["alpha"] == alpha]
    return {
        "scenarios": table(
            ["scenario", "what", "tokens", *(f"full divergence, α = {alpha:g}" for alpha in NAMES)],
            [[name, one["what"], one["tokens"], *map(full, one["full"])] for name, one in scenarios.items()],
        ),
        "kept": table(
            ["support", "k", "ids a token", "student's mass outside", "teacher's", "bytes a token", "in Parquet"],
            [kept(row) for row in scenarios[name]["supports"]],
        ),
        "detail": table(
            [
                "support",
                "k",
                "tail",
                "mean",
                "mean error",
                "relative",
                "95th percentile",
                "gradient: cosine",
                "relative",
            ],
            [detail(case) for case in cases],
        ),
        "all": "\n\n".join(f"{name}:\n\n{overview(one['cases'])}" for name, one in scenarios.items()),
        "float32": table(
            ["scenario", "α", "loss, relative", "loss, largest (nats)", "gradient, relative"],
            [[name, f"{row['alpha']:g}", *rounding(row)] for name, one in scenarios.items() for row in one["float32"]],
        ),
        "how": f"{report['date']} UTC, {report['machine']}, {report['cores']} core, torch {report['torch']}, "
        f"{sum(one['cpu_seconds'] for one in scenarios.values())} s of CPU time in all.",
    }


def overview(cases: list[Report]) -> str:
    """Relative errors of loss and gradient, all cases of a scenario."""
    by_key = {(case["alpha"], case["support"], case["k"], case["tail"]): case for case in cases}
    places = dict.fromkeys((case["support"], case["k"]) for case in cases)
    columns = [(alpha, tail) for alpha in NAMES for tail in LINES]
    rows = [
        [support, k, *(" / ".join(errors(by_key[alpha, support, k, tail])) for alpha, tail in columns)]
        for support, k in places
    ]
    return table(["support", "k", *(f"α = {alpha:g}, {tail}" for alpha, tail in columns)], rows)


def errors(case: Report) -> list[str]:
    return [percent(case[measure]) for measure in MEASURES]


def full(row: Report) -> str:
    return f"{row['mean']:.3f} (median {row['median']:.3f}, 95th percentile {row['p95']:.2f})"


def kept(row: Report) -> list[Any]:
    masses = [percent(row[f"{who}_mass_outside"]) for who in ("student", "teacher")]
    sizes = [f"{row[name]:,.0f}" for name in ("bytes_per_token", "parquet_bytes_per_token")]
    return [row["support"], row["k"], f"{row['ids_per_token']:.0f}", *masses, *sizes]


def detail(case: Report) -> list[Any]:
    losses = [f"{case['mean']:.4f}", f"{case['mean_abs_error']:.1e}", percent(case["relative_error"])]
    gradient = [f"{case['grad_cosine']:.5f}", percent(case["grad_relative_error"])]
    return [case["support"], case["k"], case["tail"], *losses, f"{case['p95_abs_error']:.1e}", *gradient]


def rounding(row: Report) -> list[str]:
    return [f"{row[name]:.0e}" for name in ("relative_error", "max_abs_error", "grad_relative_error")]


def percent(share: float) -> str:
    """Two significant digits."""
    value = 100 * share
    return f"{value:.0f} %" if value >= 10 else f"{value:.1f} %" if value >= 1 else f"{value:.2g} %"


def table(head: list[str], rows: list[list[Any]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


if __name__ == "__main__":
    main()
