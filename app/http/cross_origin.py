"""What browsers learn of answers to other origins (Fetch standard, CORS protocol), as Litestar's own layer says it."""

from litestar.config.cors import CORSConfig

from app.http.answers import Headers
from app.http.headers import first


class CrossOrigin:
    """The headers for requests with an `Origin`; preflights are Litestar's."""

    def __init__(self, config: CORSConfig) -> None:
        self._config = config
        self._always = [(name.lower().encode(), value.encode()) for name, value in config.simple_headers.items()]
        self._always += [
            (b"access-control-allow-headers", ", ".join(sorted(set(config.allow_headers))).encode()),
            (b"access-control-allow-methods", ", ".join(sorted(set(config.allow_methods))).encode()),
        ]

    def headers(self, scope: object) -> Headers:
        """Return what to add to an answer, nothing for requests that name no origin."""
        origin = first(scope, b"origin")
        if not origin:
            return []
        config = self._config
        if config.is_allow_all_origins:
            named = bool(first(scope, b"cookie"))
        else:
            named = config.is_origin_allowed(origin.decode("latin-1"))
        if not named:
            return self._always
        others = [header for header in self._always if header[0] != b"access-control-allow-origin"]
        return [*others, (b"access-control-allow-origin", origin), (b"vary", b"Origin")]
