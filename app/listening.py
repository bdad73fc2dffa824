"""Where the server listens: at one address, or with `::` at every address of the machine, of IPv4 and of IPv6."""

import errno
import socket
from typing import Final

EVERYWHERE: Final = "::"
EVERYWHERE_IN_IPV4: Final = "0.0.0.0"  # noqa: S104 - what `::` means on a machine without IPv6
MISSING: Final = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)
"""How a machine answers that does not have IPv6, or not IPv4."""


def require_free(host: str, port: int) -> None:
    """End with one sentence, before anything is started or printed, where nobody can listen."""
    name, tolerated = (None, MISSING) if host == EVERYWHERE else (host, ())
    try:
        for family, _, _, _, address in socket.getaddrinfo(
            name, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        ):
            try:
                with socket.socket(family) as probe:  # which does not listen: somebody might connect
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    if family == socket.AF_INET6:
                        probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                    probe.bind(address[:2])
            except OSError as error:
                if error.errno not in tolerated:
                    raise
    except OSError as error:
        taken = f"Port {port} is already in use; stop what listens there, or choose another --port."
        other = f"Cannot listen on {host}, port {port}: {error.strerror}."
        raise SystemExit(taken if error.errno == errno.EADDRINUSE else other) from None


def host_for_uvicorn(host: str, *, shared: bool) -> str | None:
    """Return the host with which uvicorn listens there.

    The event loop of a single process takes `::` for IPv6 alone, and None for both. Processes that share a socket get
    the one that uvicorn binds itself; bound to `::`, it takes IPv4 as well.
    """
    if host != EVERYWHERE:
        return host
    if not shared:
        return None
    return EVERYWHERE if socket.has_dualstack_ipv6() else EVERYWHERE_IN_IPV4
