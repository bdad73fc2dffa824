"""How a command is told a length of time: a whole number and a unit, as in 90d."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Final

import click

UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
FORMAT: Final = re.compile(r"([1-9][0-9]{0,5})([smhdw])", re.ASCII)
LONGEST: Final = timedelta(days=36_500)
"""Much more leads beyond the moments that there are."""


def duration(
    shortest: timedelta = timedelta(seconds=1),
) -> Callable[[click.Context, click.Parameter, str], timedelta]:
    """Return a callback that reads an option, and refuses what is not a length of time, or less than `shortest`."""

    def read(_context: click.Context, _param: click.Parameter, text: str) -> timedelta:
        match = FORMAT.fullmatch(text)
        if match is None:
            raise click.BadParameter("it has to look like 30s, 15m, 1h, 7d or 2w")
        length = timedelta(**{UNITS[match[2]]: int(match[1])})
        if not shortest <= length <= LONGEST:
            raise click.BadParameter(f"it has to be from {shortest} to {LONGEST.days} days")
        return length

    return read
