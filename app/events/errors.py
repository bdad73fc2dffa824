from types import MappingProxyType

from app.errors import Problem


class TooManyStreams(Problem):
    """MAX_STREAMS_PER_USER streams of this user are open; those of clients that vanished end within a minute."""

    status, code, headers = 429, "too_many_streams", MappingProxyType({"Retry-After": "30"})
    detail = "Too many streams of events are open for this user; close one that is not needed"


class StreamsFull(Problem):
    """MAX_STREAMS streams are open in this worker; another one may have room."""

    status, code, headers = 503, "streams_full", MappingProxyType({"Retry-After": "5"})
    detail = "The server has as many streams of events open as it may; try again in some seconds"
