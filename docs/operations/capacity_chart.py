"""Draws what a growing number of daily users needs.

`.dev/peers/bin/python docs/operations/capacity_chart.py PICTURE.svg` wants matplotlib, which the environment of
the benchmark has (`python -m tests.load.bench.environment` makes it).
"""

import sys
from pathlib import Path

import matplotlib as mpl
from capacity import Inputs, end_of_one_primary, needs
from matplotlib.axes import Axes
from matplotlib.figure import Figure

mpl.rcParams["svg.hashsalt"] = "capacity"  # the same inputs draw the same file
mpl.rcParams["svg.fonttype"] = "none"
mpl.rcParams["font.size"] = 9
WIDTH = 830 / 96
DAILY = [round(10 ** (3 + step / 10)) for step in range(41)]
COLOURS = ("#1b6ca8", "#d1495b", "#2e933c", "#e09f3e")


def draw(inputs: Inputs) -> Figure:
    """Dollars at the left; what has to be there for them at the right."""
    figure = Figure(figsize=(WIDTH, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    everything = [needs(daily, inputs) for daily in DAILY]
    for colour, what in zip(COLOURS, everything[0].dollars, strict=True):
        left.plot(DAILY, [one.dollars[what] for one in everything], label=what, color=colour)
    left.plot(DAILY, [sum(one.dollars.values()) for one in everything], label="all", color="black", linewidth=2)
    left.set_title("Dollars a month on Neon", loc="left", fontsize=10, fontweight="bold")
    left.set_ylim(bottom=1)
    right.plot(DAILY, [one.processor for one in everything], label="compute units: processors", color=COLOURS[0])
    right.plot(DAILY, [one.memory for one in everything], label="compute units: memory", color=COLOURS[1])
    right.plot(DAILY, [one.workers for one in everything], label="workers of the service", color=COLOURS[2])
    right.axhline(inputs.largest, color="black", linewidth=0.8, linestyle=":")
    most, _ = end_of_one_primary(inputs)
    right.annotate("one primary ends", (most, inputs.largest), xytext=(-4, 4), textcoords="offset points", ha="right")
    right.set_title("Compute units and workers", loc="left", fontsize=10, fontweight="bold")
    right.set_ylim(0.1, 1000)
    for axis in (left, right):
        _scales(axis)
    return figure


def _scales(axis: Axes) -> None:
    axis.set(xscale="log", yscale="log", xlabel="daily users")
    axis.xaxis.set_major_formatter("{x:,.0f}")
    axis.yaxis.set_major_formatter("{x:,g}")
    for scale in (axis.xaxis, axis.yaxis):
        scale.set_minor_formatter("")
    axis.grid(visible=True, which="major", linewidth=0.3)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(loc="upper left", frameon=False)


if __name__ == "__main__":
    draw(Inputs()).savefig(Path(sys.argv[1]), metadata={"Date": None})
