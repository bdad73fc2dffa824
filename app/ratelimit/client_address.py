"""Whose address a request comes from. What the headers say counts only as far as trusted proxies said it."""

import re
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any, Final

from app.http.headers import values
from app.quotas import UNIX

LONGEST_CHAIN: Final = 32
"""Proxies to look at, from the right; what stands further to the left is not read."""

PREFIX: Final = 64
"""Bits of an IPv6 address that are one customer's; the others are theirs to choose."""

NODE: Final = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::[0-9]{1,5})?|([0-9.]+)(?::[0-9]{1,5})?|([0-9A-Fa-f:.]+)", re.ASCII)
"""An address, maybe with a port: RFC 7239, section 6, and the bare IPv6 addresses of X-Forwarded-For."""

WORD: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]++"
PAIR: Final = re.compile(rf'[ \t]*+(?:({WORD})=({WORD}|"(?:[^"\\]|\\.)*+"))?+[ \t]*+([;,]|\Z)', re.ASCII)
"""A parameter of `Forwarded`, or none, and what follows it (RFC 7239, section 4)."""

Address = IPv4Address | IPv6Address


class ClientAddress:
    """Finds the client behind the proxies of these networks."""

    def __init__(self, proxies: Sequence[str]) -> None:
        self._networks = [ip_network(network) for network in proxies if network != UNIX]
        self._trusts_unix = UNIX in proxies

    def __call__(self, scope: Any) -> str:
        """Return what stands for the client: its IPv4 address, or the /64 of its IPv6 address."""
        client = scope.get("client")
        peer = _address(client[0].partition("%")[0]) if client else None
        if not (self._trusts(peer) if peer else self._trusts_unix and not client):
            return _partition(peer)
        found = {self._walk(peer, hops(sent)) for name, hops in CHAINS if (sent := values(scope, name))}
        # a proxy passes the header on that it does not write: where both are there and disagree, either may be forged
        return _partition(found.pop() if len(found) == 1 else peer)

    def _trusts(self, address: Address) -> bool:
        return any(address in network for network in self._networks)

    def _walk(self, peer: Address | None, hops: Iterator[str]) -> Address | None:
        """Follow the chain from the right, as long as it is trusted and names addresses."""
        last = peer
        for hop, _ in zip(hops, range(LONGEST_CHAIN), strict=False):
            address = _address(hop)
            if address is None:
                break
            last = address
            if not self._trusts(address):
                break
        return last


def _x_forwarded_for(lines: list[bytes]) -> Iterator[str]:
    """Yield the hops, the latest first; several lines are one list (RFC 9110, section 5.3)."""
    for hop in reversed(b",".join(lines).split(b",")):
        yield hop.decode("latin-1").strip(" \t")


def _forwarded(lines: list[bytes]) -> Iterator[str]:
    """Yield what each element has for `for`, the latest first; an element without, or a malformed line, is nobody."""
    for line in reversed(lines):
        yield from reversed(_elements(line.decode("latin-1")))


def _elements(line: str) -> list[str]:
    elements = [""]
    position = 0
    while found := PAIR.match(line, position):
        name, value, end = found.groups()
        if name and name.lower() == "for":
            if elements[-1]:
                break
            elements[-1] = value.strip('"')
        if not end:
            return elements
        if end == ",":
            elements.append("")
        position = found.end()
    return [""]


CHAINS: Final = ((b"forwarded", _forwarded), (b"x-forwarded-for", _x_forwarded_for))


def _address(text: str) -> Address | None:
    found = NODE.fullmatch(text)
    if not found:
        return None
    try:
        address = ip_address(found[1] or found[2] or found[3])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _partition(address: Address | None) -> str:
    if address is None:
        return UNIX
    if isinstance(address, IPv4Address):
        return str(address)
    return f"{IPv6Address(int(address) >> PREFIX << PREFIX)}/{PREFIX}"
