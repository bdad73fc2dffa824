"""Draws the results of a run: throughput of every contender at every work item, medians with the range of the rounds.

It runs in the environment of the peers: `.dev/peers/bin/python -m tests.load.bench.plot RESULTS.json PICTURE.svg`.
"""

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

mpl.rcParams["svg.hashsalt"] = "tests.load.bench"  # the same results draw the same file
OURS, OTHERS = "#1b6ca8", "#b9c4cc"
COLUMNS = 3


def draw(results: dict[str, Any]) -> Figure:
    titles = results["work"]
    rows = -(-len(titles) // COLUMNS)
    figure = Figure(figsize=(5.4 * COLUMNS, 2.9 * rows), layout="constrained")
    axes = figure.subplots(rows, COLUMNS, squeeze=False).flat
    for axis, (work, title) in zip(axes, titles.items(), strict=False):
        _bars(axis, results, work)
        axis.set_title(title, loc="left", fontsize=11)
    for axis in list(axes)[len(titles) :]:
        axis.set_visible(False)
    machine, options = results["machine"], results["options"]
    figure.suptitle(
        f"Requests per second; {machine['processor']}, {machine['cores']} cores, Python {machine['python']}, "
        f"PostgreSQL {machine['postgresql']}; {options['rounds']} rounds, {options['connections']} connections",
        fontsize=10,
    )
    return figure


def _bars(axis: Axes, results: dict[str, Any], work: str) -> None:
    summaries = [one for one in reversed(results["summaries"]) if one["work"] == work and not one["error"]]
    names = [results["contenders"][one["contender"]] for one in summaries]
    medians = [one["throughput"] for one in summaries]
    colours = [OURS if one["contender"].startswith("ours") else OTHERS for one in summaries]
    bars = axis.barh(names, medians, color=colours, xerr=_ranges(results, work, summaries), error_kw={"lw": 0.8})
    axis.bar_label(bars, fmt=" {:,.0f}", fontsize=7, padding=3)
    axis.margins(x=0.18)
    axis.tick_params(labelsize=7)
    axis.spines[["top", "right"]].set_visible(False)


def _ranges(results: dict[str, Any], work: str, summaries: list[dict[str, Any]]) -> tuple[list[float], list[float]]:
    below, above = [], []
    for one in summaries:
        rounds = [
            cell["throughput"]
            for cell in results["cells"]
            if (cell["work"], cell["contender"]) == (work, one["contender"])
        ]
        below.append(one["throughput"] - min(rounds))
        above.append(max(rounds) - one["throughput"])
    return below, above


if __name__ == "__main__":
    source, picture = sys.argv[1:]
    draw(json.loads(Path(source).read_text())).savefig(
        picture, metadata={"Date": None} if picture.endswith("svg") else {}
    )
