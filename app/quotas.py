"""How often clients may ask, where that is counted, and whose word about their addresses counts: as settings say it.

Each function reads the text of a setting, and raises ValueError with half a sentence for what is not usable.
"""

import re
from ipaddress import ip_network
from typing import Final, NamedTuple
from urllib.parse import urlsplit

LIMIT: Final = re.compile(r"([1-9][0-9]{0,8})/(second|minute|hour|day)", re.ASCII)
UNITS: Final = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
OFF: Final = "off"

SCHEMES: Final = ("redis", "rediss", "valkey", "valkeys")
DATABASE: Final = re.compile(r"(/[0-9]*)?", re.ASCII)

UNIX: Final = "unix"
"""Stands for peers on a Unix socket, which have no address."""


class Limit(NamedTuple):
    """So many requests in so many seconds, at any time."""

    amount: int
    seconds: int


def limit(text: str) -> Limit | None:
    """Read `600/minute`, or None for `off`."""
    if text == OFF:
        return None
    found = LIMIT.fullmatch(text)
    if not found:
        raise ValueError("it has to look like `600/minute`, per second, minute, hour or day, or be `off`")
    return Limit(int(found[1]), UNITS[found[2]])


def server(text: str) -> str:
    """Return the URL of a Redis or Valkey server. It is never quoted: it may hold a password."""
    try:
        parts = urlsplit(text)
        usable = parts.scheme in SCHEMES and parts.hostname and parts.port != 0 and DATABASE.fullmatch(parts.path)
    except ValueError:  # of a port that is no number
        usable = False
    if not usable:
        raise ValueError("it has to look like `redis://host:6379` or `valkey://…`, with `rediss` or `valkeys` for TLS")
    return text


def proxies(text: str) -> tuple[str, ...]:
    """Split a list of networks, addresses and `unix`."""
    networks = tuple(filter(None, (entry.strip() for entry in text.split(","))))
    for network in networks:
        try:
            _ = network == UNIX or ip_network(network)
        except ValueError:
            raise ValueError("it has to be a list of networks like `10.0.0.0/8`, addresses, or `unix`") from None
    return networks
