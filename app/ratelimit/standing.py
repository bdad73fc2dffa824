"""Where a caller stands in a sliding window: this window's count, and as much of the last one's as still overlaps."""

from app.quotas import Limit

Standing = tuple[bool, int, int]
"""Whether a request is served, how many more are within how many seconds; where none is, one is after these seconds."""


def standing(limit: Limit, allowed: bool, before: int, count: int, left: float) -> Standing:
    """Describe the state after a request: `before` counts the last window, `count` this one, which ends in `left` s."""
    amount, window = limit
    remaining = amount - int(before * left / window + count)
    if allowed and remaining > 0:
        return True, remaining, int(left) + 1
    room = amount - count
    wait = left
    if room > 0:  # until so little of the last window overlaps that one more fits
        wait -= room * window / before if before else left
    return allowed, 0, max(0, int(wait)) + 1
