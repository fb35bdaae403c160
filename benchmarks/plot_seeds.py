"""Draws the result of demo_seeds.py: held-out mean@k before and after, a line a seed, an arm a panel.

python benchmarks/plot_seeds.py benchmarks/results/demo_seeds.json docs/demo_seeds.png
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot

TITLES = {"mopd": "distillation alone (λ = 0)", "blend": "blend (λ = 0.3)", "grpo": "policy gradient alone (λ = 1)"}


def main() -> None:
    source, target = map(Path, sys.argv[1:])
    runs = json.loads(source.read_text())["runs"]
    arms = [arm for arm in TITLES if any(run["arm"] == arm for run in runs)]
    figure, panels = pyplot.subplots(1, len(arms), figsize=(3.6 * len(arms), 3.4), sharey=True, squeeze=False)
    for panel, arm in zip(panels[0], arms, strict=True):
        for run in sorted((run for run in runs if run["arm"] == arm), key=lambda run: run["seed"]):
            points = [run["before"], run["after"]]
            means = [100 * point["mean_at_k"] for point in points]
            errors = [
                [mean - 100 * point["mean_interval"][0] for mean, point in zip(means, points, strict=True)],
                [100 * point["mean_interval"][1] - mean for mean, point in zip(means, points, strict=True)],
            ]
            shift = 0.03 * (run["seed"] - 2)
            at = [shift, 1 + shift]
            panel.errorbar(at, means, yerr=errors, marker="o", markersize=4, capsize=2, label=f"seed {run['seed']}")
        panel.set_title(TITLES[arm], fontsize=10)
        panel.set_xticks([0, 1], ["before", "after"])
        panel.set_xlim(-0.3, 1.3)
        panel.set_ylim(0, 100)
        panel.grid(axis="y", alpha=0.3)
    k = runs[0]["after"]["k"]
    panels[0][0].set_ylabel(f"held-out mean@{k}, % (95 % interval)")
    panels[0][-1].legend(fontsize=8, loc="lower right")
    figure.tight_layout()
    figure.savefig(target, dpi=120)


if __name__ == "__main__":
    main()
