"""Draws the panels of dashboard.json without Grafana, from what a Prometheus answers for their queries.

`.dev/peers/bin/python docs/operations/dashboard_chart.py http://127.0.0.1:9090 600 PICTURE.svg` draws the last 600
seconds. It wants matplotlib, which the environment of the benchmark has.
"""

import json
import math
import re
import sys
import time
from io import StringIO
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode
from urllib.request import urlopen

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.ticker import MaxNLocator

mpl.rcParams["svg.hashsalt"] = "dashboard"  # the same answers draw the same file
mpl.rcParams["svg.fonttype"] = "none"
mpl.rcParams["font.size"] = 8.5
mpl.rcParams["font.sans-serif"] = ["DejaVu Sans"]
WIDTH: Final = 830 / 96
POINTS: Final = 48
GRID: Final = 24
"""Grafana's width of a line of panels."""

NAMED: Final = 4
"""Lines of a legend; the others of a panel are drawn without a name."""

LONGEST: Final = 38
COLOURS: Final = ("#1b6ca8", "#d1495b", "#2e933c", "#e09f3e", "#7b4ea3", "#6d4c41", "#17a2a2", "#708090")
SCALES: Final = {"s": ("ms", 1e3), "percentunit": ("%", 100.0), "bytes": ("MiB", 2.0**-20)}
"""What one of Grafana's units is drawn as, and how many of it are one; any other is drawn as it is."""

PLAIN: Final = {"reqps": "per second", "ops": "per second", "short": ""}


class Source:
    """A Prometheus, and the seconds up to now that are drawn."""

    def __init__(self, address: str, seconds: int) -> None:
        self._address = address
        self.seconds = seconds
        self._end = time.time()

    def ask(self, query: str) -> list[tuple[dict[str, str], list[float], list[float]]]:
        """Return labels, minutes since the beginning, and values of each series."""
        for variable in ("$job", "$instance"):
            query = query.replace(variable, ".*")
        query = query.replace("$__rate_interval", f"{max(20, self.seconds // POINTS * 4)}s")
        start = self._end - self.seconds
        asked = {"query": query, "start": start, "end": self._end, "step": max(1, self.seconds // POINTS)}
        with urlopen(f"{self._address}/api/v1/query_range?{urlencode(asked)}") as answer:  # noqa: S310 - http, as given
            found = json.load(answer)["data"]["result"]
        return [
            (
                one["metric"],
                [(at - start) / 60 for at, _ in one["values"]],
                [float(value) for _, value in one["values"]],
            )
            for one in found
        ]


def draw(board: dict[str, Any], source: Source) -> Figure:
    """Draw each row of the dashboard below the one before, as many panels side by side as there."""
    rows: dict[str, list[dict[str, Any]]] = {}
    for panel in board["panels"]:
        if panel["type"] == "row":
            rows[panel["title"]] = []
        else:
            rows[[*rows][-1]].append(panel)
    lines = [-(-len(panels) // _columns(panels)) for panels in rows.values()]
    figure = Figure(figsize=(WIDTH, 1.95 * sum(lines) + 0.25 * len(lines)), layout="constrained")
    parts = figure.subfigures(len(rows), 1, squeeze=False, height_ratios=[1.95 * number + 0.25 for number in lines])
    for part, (title, panels), number in zip(parts.flat, rows.items(), lines, strict=True):
        _row(part, title, panels, number, source)
    return figure


def _columns(panels: list[dict[str, Any]]) -> int:
    return GRID // int(panels[0]["gridPos"]["w"])


def _row(part: SubFigure, title: str, panels: list[dict[str, Any]], lines: int, source: Source) -> None:
    part.suptitle(title, x=0.01, horizontalalignment="left", fontsize=10, fontweight="bold")
    axes = part.subplots(lines, _columns(panels), squeeze=False)
    for axis, panel in zip(axes.flat, panels, strict=True):
        _panel(axis, panel, source)


def _scale(panel: dict[str, Any]) -> tuple[str, bool]:
    """Return Grafana's unit, and whether the scale is logarithmic."""
    defaults = panel["fieldConfig"]["defaults"]
    return defaults["unit"], defaults["custom"].get("scaleDistribution", {}).get("type") == "log"


def _panel(axis: Axes, panel: dict[str, Any], source: Source) -> None:
    unit, logarithmic = _scale(panel)
    name, factor = SCALES.get(unit, (PLAIN.get(unit, unit), 1.0)) if unit != "s" or logarithmic else ("s", 1.0)
    lines = []
    for target in panel["targets"]:
        for labels, minutes, values in source.ask(target["expr"]):
            legend = re.sub(r"\{\{(\w+)\}\}", lambda found, has=labels: has.get(found[1], ""), target["legendFormat"])  # type: ignore[misc]
            lines.append((legend, minutes, [value * factor for value in values]))
    lines.sort(key=lambda line: -max((value for value in line[2] if not math.isnan(value)), default=0))
    for place, (legend, minutes, values) in enumerate(lines):
        shown = legend if len(legend) <= LONGEST else f"…{legend[1 - LONGEST :]}"
        axis.plot(
            minutes,
            values,
            linewidth=1,
            color=COLOURS[place % len(COLOURS)],
            label=shown if place < NAMED else None,
        )
    if len(lines) > NAMED:
        axis.plot([], [], " ", label=f"and {len(lines) - NAMED} more")
    numbers = [value for _, _, values in lines for value in values if not math.isnan(value)]
    axis.set_title(f"{panel['title']}{f', {name}' if name else ''}", loc="left", fontsize=8.5)
    axis.set_xlim(0, source.seconds / 60)
    if logarithmic:
        least, most = min(numbers, default=1), max(numbers, default=1)
        axis.set_yscale("log")
        axis.set_ylim(10 ** math.floor(math.log10(least)), 10 ** (math.floor(math.log10(most)) + 1))
        axis.yaxis.set_major_formatter("{x:,g}")
        axis.yaxis.set_minor_formatter("")
    else:
        axis.set_ylim(0, max(numbers, default=0) * 1.1 or 1)
        axis.yaxis.set_major_locator(MaxNLocator(3))
    axis.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axis.grid(visible=True, axis="y", linewidth=0.3)
    axis.tick_params(which="both", bottom=False, left=False)
    axis.spines[["top", "right"]].set_visible(False)
    if lines:
        short = all(len(legend) <= LONGEST // 3 for legend, _, _ in lines)
        axis.legend(
            loc="upper left",
            bbox_to_anchor=(-0.05, -0.14),
            ncols=2 if short else 1,
            frameon=False,
            borderpad=0,
            handlelength=1,
            labelspacing=0.1,
        )


def _small(svg: str) -> str:
    """Leave out what nobody sees: ids of groups, comments, indentation, and less than a hundredth of a point."""
    svg = re.sub(r"<!--.*?-->", "", re.sub(r'<g id="\w+"', "<g", svg), flags=re.DOTALL)
    svg = re.sub(r' transform="rotate\(-0 [^"]*"', "", svg)
    svg = re.sub(r' (?:d|x|y)="[^"]*"', lambda found: re.sub(r"(\d\.\d\d)\d+", r"\1", found[0]), svg)
    return re.sub(r"\s*\n\s*", "\n", svg)


def main(address: str, seconds: str, picture: str) -> None:
    """Draw the dashboard beside this file."""
    board = json.loads(Path(__file__).with_name("dashboard.json").read_text())
    drawn = StringIO()
    draw(board, Source(address.rstrip("/"), int(seconds))).savefig(drawn, format="svg", metadata={"Date": None})
    Path(picture).write_text(_small(drawn.getvalue()))


if __name__ == "__main__":
    main(*sys.argv[1:])
