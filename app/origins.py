"""Which origins browsers may call from. Every comparison is of the whole origin, as browsers serialize it (RFC 6454).

A wildcard stands for exactly one label, and an origin that nothing but a wildcard allows never gets credentials.
"""

import re
from collections.abc import Collection
from enum import Enum, auto
from typing import Final

LABEL: Final = "[a-z0-9_-]{1,63}"
ORIGIN: Final = re.compile(
    rf"[a-z][a-z0-9+.-]{{0,31}}://(?:{LABEL}(?:\.{LABEL}){{0,126}}\.?|\[[0-9a-f:.]{{2,45}}\])(?::[1-9][0-9]{{0,4}})?"
)
WILDCARD: Final = re.compile(rf"https://\*(\.{LABEL}){{2,126}}(?::[1-9][0-9]{{0,4}})?")
"""The domain has two labels at least: under one alone anybody can have a name."""

LOOPBACK: Final = re.compile(
    rf"""https?://(?:
        (?:{LABEL}\.){{0,126}}localhost
        | 127(?:\.(?:25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])){{3}}
        | \[::1\]
    )(?::[1-9][0-9]{{0,4}})?""",
    re.VERBOSE,
)
"""This machine (RFC 6761, section 6.3, for the names), on any port."""

DEFAULT_PORT: Final = re.compile(r"(https://.*):443|(http://.*):80")
LONGEST: Final = 300
"""Characters of an origin: a host has at most 253."""

ANY: Final = "*"


class Grant(Enum):
    """What an origin may do."""

    NOTHING = auto()
    READ = auto()
    """Read answers to requests without credentials; the header Authorization, set by a script, is none."""

    READ_WITH_CREDENTIALS = auto()


class Origins:
    """The origins of CORS_ORIGINS, and with `loopback` those of this machine."""

    def __init__(self, allowed: Collection[str] = (), *, loopback: bool = False) -> None:
        self._exact = {origin for origin in allowed if "*" not in origin}
        wildcards = [re.escape(origin).replace(r"\*", LABEL) for origin in allowed if WILDCARD.fullmatch(origin)]
        self._below = re.compile("|".join(wildcards)) if wildcards else None
        self.any = ANY in allowed
        self._loopback = loopback

    @property
    def none(self) -> bool:
        """Whether there is no origin that may do anything, so that answers are the same for all."""
        return not (self._exact or self._below or self.any or self._loopback)

    def grant(self, origin: str) -> Grant:
        """Return what an origin may do; the most that any entry says counts."""
        if origin in self._exact or (self._loopback and LOOPBACK.fullmatch(origin)):
            return Grant.READ_WITH_CREDENTIALS
        if self.any or (self._below and self._below.fullmatch(origin)):
            return Grant.READ
        return Grant.NOTHING


def is_origin(text: str) -> bool:
    """Tell whether browsers could send this, and CORS_ORIGINS could name it."""
    return len(text) <= LONGEST and ORIGIN.fullmatch(text) is not None


def read(text: str) -> tuple[str, ...]:
    """Read CORS_ORIGINS; each entry becomes what browsers send. Raises ValueError."""
    entries = tuple(_serialized(entry.strip()) for entry in text.split(",") if entry.strip())
    if entries != (ANY,) and not all(is_origin(entry) or WILDCARD.fullmatch(entry) for entry in entries):
        raise ValueError(
            "it has to be `*`, or a list of origins as browsers send them, without paths, like"
            " `https://app.example.com` or, for all names one below another, `https://*.example.com`"
        )
    return entries


def _serialized(entry: str) -> str:
    """Write scheme and host in lower case, and leave out a default port and one slash at the end."""
    entry = entry.removesuffix("/").lower()
    match = DEFAULT_PORT.fullmatch(entry)
    return (match[1] or match[2]) if match else entry
