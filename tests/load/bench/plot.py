"""Draws the results of a run: throughput of every contender at every work item, medians with the range of the rounds,
and in a second picture, where there was an open load, latency against the rate of the requests.

It runs in the environment of the peers: `.dev/peers/bin/python -m tests.load.bench.plot RESULTS.json PICTURE.svg`.
"""

import json
import sys
from itertools import cycle
from pathlib import Path
from textwrap import fill
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

mpl.rcParams["svg.hashsalt"] = "tests.load.bench"  # the same results draw the same file
mpl.rcParams["svg.fonttype"] = "none"  # text stays text: a quarter of the bytes, and it can be searched
mpl.rcParams["font.size"] = 9  # points: 12 pixels on a page that shows the picture as wide as it is
WIDTH = 830 / 96
"""Inches: as wide as GitHub shows pictures, so that nothing is scaled."""

OURS, OTHERS = "#1b6ca8", "#b9c4cc"
PEERS = ("#d1495b", "#2e933c", "#e09f3e", "#7b4ea3", "#6d4c41", "#e377c2", "#708090", "#17a2a2", "#9a9a00", "#000000")
COLUMNS = 2
PERCENTILES = {"p50": "p50", "p99": "p99", "p999": "p99.9"}


def draw_throughput(results: dict[str, Any]) -> Figure:
    works = list(results["work"])
    rows = [works[start : start + COLUMNS] for start in range(0, len(works), COLUMNS)]
    names = [_measured(results, row) for row in rows]
    heights = [0.23 * len(contenders) + 0.45 for contenders in names]
    figure = Figure(figsize=(WIDTH, sum(heights) + 0.3), layout="constrained")
    grid = figure.subplots(len(rows), COLUMNS, squeeze=False, sharey="row", height_ratios=heights)
    for axes, row, contenders in zip(grid, rows, names, strict=True):
        for axis, work in zip(axes, row, strict=False):
            _bars(axis, results, work, list(contenders))
            axis.set_title(results["work"][work], loc="left", fontsize=10, fontweight="bold")
        for axis in axes[len(row) :]:
            axis.set_visible(False)
        axes[0].set_yticks(range(len(contenders)), contenders.values())  # once, at the left
    _headline(figure, f"Requests per second; {_circumstances(results)}")
    return figure


def _measured(results: dict[str, Any], works: list[str]) -> dict[str, str]:
    """Return who was measured at any of these, from below."""
    found = {one["contender"] for one in results["summaries"] if one["work"] in works}
    return {key: name for key, name in reversed(results["contenders"].items()) if key in found}


def draw_latency(results: dict[str, Any]) -> Figure:
    works = list(dict.fromkeys(one["work"] for one in results["summaries"]))
    figure = Figure(figsize=(WIDTH, 2.8 * len(works) + 1.2), layout="constrained")
    grid = figure.subplots(len(works), len(PERCENTILES), squeeze=False, sharex="row", sharey="row")
    for axes, work in zip(grid, works, strict=True):
        for axis, (percentile, name) in zip(axes, PERCENTILES.items(), strict=True):
            _lines(axis, results, work, percentile)
            axis.set_title(f"{results['work'][work]}, {name}", loc="left", fontsize=10, fontweight="bold")
    lines, names = figure.axes[0].get_legend_handles_labels()
    figure.legend(lines, names, loc="outside lower center", ncols=3)
    _headline(
        figure,
        "Milliseconds from the moment a request was due, against requests per second, at shares of what each answers "
        f"at most; {_circumstances(results)}",
    )
    return figure


def _headline(figure: Figure, text: str) -> None:
    figure.suptitle(fill(text, 120), fontsize=9, x=0.01, horizontalalignment="left")


def _circumstances(results: dict[str, Any]) -> str:
    machine, options = results["machine"], results["options"]
    return (
        f"{machine['processor']}, {machine['cores']} cores, Python {machine['python']}, "
        f"PostgreSQL {machine['postgresql']}; {options['rounds']} rounds, {options['connections']} connections"
    )


def _lines(axis: Axes, results: dict[str, Any], work: str, percentile: str) -> None:
    peers = cycle(PEERS)
    for contender, title in results["contenders"].items():
        colour = OURS if contender == "ours" else next(peers)
        known = [
            one
            for one in results["summaries"]
            if (one["work"], one["contender"]) == (work, contender) and one[percentile] is not None
        ]
        axis.plot(
            [one["rate"] for one in known],
            [one[percentile] for one in known],
            label=title,
            color=colour,
            marker="o",
            markersize=3,
            linewidth=2 if contender == "ours" else 1,
        )
    axis.set(xscale="log", yscale="log")
    axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    for scale in (axis.xaxis, axis.yaxis):
        scale.set_major_formatter("{x:,g}")
        scale.set_minor_formatter("")
    axis.tick_params(labelleft=True)
    axis.grid(visible=True, which="major", linewidth=0.3)
    axis.spines[["top", "right"]].set_visible(False)


def _bars(axis: Axes, results: dict[str, Any], work: str, contenders: list[str]) -> None:
    """Draw a bar in the row of each contender that was measured at this."""
    summaries = [one for one in results["summaries"] if one["work"] == work]
    bars = axis.barh(
        [contenders.index(one["contender"]) for one in summaries],
        [one["throughput"] for one in summaries],
        color=[OURS if one["contender"].startswith("ours") else OTHERS for one in summaries],
        xerr=_ranges(results, work, summaries),
        error_kw={"lw": 0.8},
    )
    axis.bar_label(bars, fmt=" {:,.0f}", padding=3)
    axis.margins(x=0.22)
    axis.tick_params(axis="y", length=0)
    axis.xaxis.set_visible(False)  # each bar has its number
    axis.spines[["top", "right", "bottom"]].set_visible(False)


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


def _part(results: dict[str, Any], *, under_open_load: bool) -> dict[str, Any]:
    return results | {
        kind: [one for one in results[kind] if (one["percent"] is not None) is under_open_load and not one["error"]]
        for kind in ("summaries", "cells")
    }


def main(source: Path, picture: Path) -> None:
    results = json.loads(source.read_text())
    options: dict[str, Any] = {"metadata": {"Date": None}} if picture.suffix == ".svg" else {}
    draw_throughput(_part(results, under_open_load=False)).savefig(picture, **options)
    under = _part(results, under_open_load=True)
    if under["summaries"]:
        draw_latency(under).savefig(picture.with_stem(f"{picture.stem}-latency"), **options)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
