"""Requests of every kind, for the application's ASGI interface: as clients send them, and as nobody should."""

from typing import Any, Final
from urllib.parse import unquote

from hypothesis import strategies as st
from msgspec import Struct, structs

Headers = list[tuple[bytes, bytes]]

METHODS: Final = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"]
SEGMENTS: Final = [
    *("me", "someone", "somebody-else", "tasks", "stats", "complete", "api", "health", "docs", "ready"),
    *("v1", "toggle", "filtered"),
    *("1", "0", "01", "9223372036854775807", "9223372036854775808", "99999999999999999999", "-1", "+1", "1_0", "%31"),
    *("", ".", "..", "a.b", "~", "a b", "%20", "%2F", "%C3%A9", "%FF", "%00", "é", "x" * 200, "{task_id}", "*", ":"),
]
USUAL_PATHS: Final = [
    *("/", "/health", "/ready", "/docs", "/openapi.json", "/nowhere", "/docs/start.js", "/docs/assets/nothing"),
    *("/api/me", "/api/me/stats", "/api/me/tasks", "/api/me/tasks/1", "/api/me/tasks/1/complete"),
    *("/api/someone/tasks", "/api/someone/tasks/7", "/api/somebody-else/tasks/1", "/api/me/tasks/x", "/api/tasks"),
    *("/api/v1/tasks", "/api/v1/me/tasks/1", "/api/tasks/1/toggle", "/api/me/tasks/1/toggle", "/api/me/tasks/filtered"),
    *("/api/v1", "/api/v1/health", "/api/health", "/api/v1/someone", "/api/tasks/1/complete", "/api/v1/tasks/filtered"),
]
QUERIES: Final = [
    *(b"", b"limit=1", b"limit=0", b"status=pending", b"sort=title&order=asc", b"priority=HIGH&priority=low", b"x=y"),
    *(
        b"sort_by=created_at&sort_order=desc",
        b"page=2&limit=1",
        b"completed=true",
        b"priority%5B%5D=HIGH",
        b"category=x",
    ),
    *(b"tags=a,b&limit=1", b"status=done&completed=false", b"page=2&skip=1&_=5"),
    *(b"tag=a&tag=b&search=milk", b"limit=1&limit=2", b"cursor=nonsense", b"%FF", b"search=%00", b"a=b&" * 101),
]
TAGS: Final = [b'"5"', b'W/"5"', b'"5", "6"', b"*", b"5", b'"4"', b"", b'"99999999999999999999"']
BODIES: Final = [
    *(b"", b" ", b"{}", b"null", b"[]", b"{", b"\xff", b'{"title": "\\ud800"}', b'{"title": " "}', b"[" * 3000),
    *(b'{"title": "Buy milk"}', b'{"title": "x", "tags": "a,b", "priority": "high", "due_date": "2026-12-01"}'),
    *(b'{"completed": true}', b'{"completed": "no", "title": 5}', b'{"description": null, "due_date": null}'),
    b'{"title": "' + b"x" * 70_000 + b'"}',
]
CONTENT_TYPES: Final = [
    *(
        b"application/json",
        b"application/json; charset=utf-8",
        b"application/json; charset=latin-1",
        b"text/plain",
        b"",
    ),
    b"APPLICATION/JSON",
]
OTHERS: Final[dict[bytes, list[bytes]]] = {
    b"if-none-match": TAGS,
    b"if-match": TAGS,
    b"origin": [
        *(b"https://app.example.org", b"https://pr-7.example.com", b"https://a.b.example.com", b"null", b"", b"\xff"),
    ],
    b"cookie": [b"a=b"],
    b"x-request-id": [b"abc", b"not ok", b"x" * 129],
    b"accept": [b"*/*", b"text/html"],
    b"accept-encoding": [b"gzip", b"zstd, gzip", b"identity"],
    b"content-length": [b"5", b"999999", b"x"],
    b"access-control-request-method": [b"PATCH"],
    b"access-control-request-headers": [b"authorization, if-match", b"x-a,*,\xff"],
    b"sec-fetch-site": [b"same-origin", b"cross-site"],
    b"x-forwarded-for": [b"10.0.0.1"],
}
AUTHORIZATIONS: Final = [
    *(
        b"Bearer GOOD",
        b"Bearer FOREIGN",
        b"Bearer EXPIRED",
        b"Bearer READING",
        b"Bearer NOTHING",
        b"Bearer ",
        b"Bearer a.b.c",
        b"Bearer \xe9",
    ),
    *(b"Basic GOOD", b"bearer  GOOD", b"GOOD", b""),
]
"""The names in capitals stand for tokens."""

HOSTS: Final = [b"localhost", b"localhost:8000", b"[::1]:80", b"a b", b"a/b", b"", b"\xff"]


class Request(Struct, frozen=True):
    """A request as a server hands it over: `parts` are the pieces of the body; after them the client may be gone."""

    method: str
    path: str
    query: bytes
    headers: Headers
    parts: tuple[bytes, ...]
    leaves: bool

    def scope(self, tokens: dict[bytes, bytes]) -> dict[str, Any]:
        """A scope of its own, decoded as uvicorn does it, with `tokens` in the place of their names."""
        headers = []
        for name, value in self.headers:
            scheme, space, token = value.rpartition(b" ")
            headers.append((name, scheme + space + tokens.get(token, token)))
        return {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": self.method,
            "scheme": "http",
            "path": unquote(self.path),
            "raw_path": self.path.encode(),
            "query_string": self.query,
            "root_path": "",
            "headers": headers,
            "client": ("127.0.0.1", 50000),
            "server": ("127.0.0.1", 8000),
        }

    def messages(self) -> list[dict[str, Any]]:
        """What the server has received, in order."""
        last = len(self.parts) - 1
        found: list[dict[str, Any]] = [
            {"type": "http.request", "body": part, "more_body": number < last or self.leaves}
            for number, part in enumerate(self.parts)
        ]
        return [*found, {"type": "http.disconnect"}]


CREATE: Final = Request(
    method="POST",
    path="/api/me/tasks",
    query=b"",
    headers=[(b"authorization", b"Bearer GOOD"), (b"content-type", b"application/json")],
    parts=(b'{"title": "Buy milk"}',),
    leaves=False,
)
LIST_OF_ANOTHER_ORIGIN: Final = structs.replace(
    CREATE, method="GET", headers=[*CREATE.headers, (b"origin", b"https://app.example.org")], parts=(b"",)
)
PREFLIGHT: Final = structs.replace(
    LIST_OF_ANOTHER_ORIGIN,
    method="OPTIONS",
    headers=[(b"origin", b"https://app.example.org"), (b"access-control-request-method", b"PATCH")],
)
TOO_LARGE: Final = structs.replace(CREATE, parts=(BODIES[-1],))
STALE: Final = structs.replace(
    CREATE, method="PATCH", path="/api/me/tasks/1", headers=[*CREATE.headers, (b"if-match", b'"4"')]
)


def paths() -> st.SearchStrategy[str]:
    odd = st.lists(st.sampled_from(SEGMENTS), max_size=6).map(lambda segments: "/" + "/".join(segments))
    below = st.lists(st.sampled_from(SEGMENTS), max_size=3).map(lambda segments: "/".join(["/api/me/tasks", *segments]))
    slashes = st.sampled_from(["", "", "", "/", "//"])
    return st.builds("{}{}".format, st.one_of(st.sampled_from(USUAL_PATHS), below, odd), slashes)


def requests() -> st.SearchStrategy[Request]:
    """Most have one good token; the others stand for what is refused, or is no token at all."""
    good = (b"authorization", b"Bearer GOOD")
    authorization = st.one_of(
        st.just([good]),
        st.just([good]),
        st.lists(st.sampled_from([(b"authorization", text) for text in AUTHORIZATIONS]), max_size=2),
    )
    host = st.one_of(
        st.just([(b"host", HOSTS[0])]), st.lists(st.sampled_from([(b"host", host) for host in HOSTS]), max_size=2)
    )
    content_type = st.one_of(
        st.just([(b"content-type", CONTENT_TYPES[0])]),
        st.just([(b"content-type", CONTENT_TYPES[0])]),
        st.lists(st.sampled_from([(b"content-type", text) for text in CONTENT_TYPES]), max_size=2),
    )
    others = [(name, value) for name, values in OTHERS.items() for value in values]
    rest = st.one_of(st.lists(st.nothing()), st.lists(st.sampled_from(others), max_size=4))
    headers = st.builds(
        lambda *parts: [header for part in parts for header in part], host, authorization, content_type, rest
    )
    whole = st.sampled_from(BODIES).map(lambda body: (body,))
    parts = st.lists(st.sampled_from(BODIES[:12]), min_size=1, max_size=3).map(tuple)
    return st.builds(
        Request,
        method=st.one_of(st.sampled_from(METHODS[:6]), st.sampled_from(METHODS)),
        path=paths(),
        query=st.one_of(st.just(b""), st.sampled_from(QUERIES)),
        headers=headers,
        parts=st.one_of(st.just((BODIES[10],)), whole, parts),
        leaves=st.sampled_from([*[False] * 7, True]),
    )
