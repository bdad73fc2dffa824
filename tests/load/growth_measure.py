"""Times one request of one user in two ways: its statement on a connection, and the whole application around it.

The list cache is off and nothing is known to the client, so every answer is made anew.
"""

import statistics
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, NamedTuple

import asyncpg
from litestar import Litestar
from msgspec import Struct, field, json

from app.auth.mint import mint
from app.db.statement import Statement
from app.settings import Settings
from app.tasks import listing
from app.tasks.changes import since
from app.tasks.changes.statement import changes
from app.tasks.json import TaskJSON
from app.tasks.query import parse
from app.tasks.rules import PRIORITIES
from app.tasks.statements import TaskStatements
from tests.conftest import running

STATEMENTS: Final = TaskStatements(PRIORITIES)
CHANGES: Final = changes(TaskJSON(PRIORITIES))
MILLI: Final = 1e3
OK: Final = 200


class Row(Struct):
    """Medians in milliseconds: per number of tasks, or per number of the page."""

    way: str
    shape: str
    milliseconds: dict[int, float]

    @property
    def ratio(self) -> float:
        """Of the last to the first."""
        values = list(self.milliseconds.values())
        return values[-1] / values[0]


class Answer(NamedTuple):
    """Of the application, and how long it took."""

    seconds: float
    headers: dict[bytes, bytes]
    body: bytes


class Table(Struct):
    """A seeded database: the application on it, a connection beside the application's, and whom to ask about."""

    tasks: int
    megabytes: int
    settings: Settings
    app: Litestar
    connection: asyncpg.Connection
    probes: list[str]
    anyone: list[str]
    prepared: dict[Statement, Any] = field(default_factory=dict)
    tokens: dict[str, bytes] = field(default_factory=dict)

    async def statement(self, user_id: str, query: str) -> float:
        """Seconds of the list statement, prepared before, as `Database.fetch` runs it."""
        parsed = parse(query.encode())
        return await self._run(STATEMENTS.page(parsed), user_id, listing.arguments(parsed))

    async def changes_statement(self, user_id: str, query: str) -> float:
        """Seconds of the statement of changes, in the same way."""
        asked = since.parse(query.encode())
        return await self._run(
            CHANGES, user_id, {"since": asked.since, "limit": asked.limit, "snapshot": asked.snapshot}
        )

    async def _run(self, statement: Statement, user_id: str, values: Mapping[str, Any]) -> float:
        if statement not in self.prepared:
            self.prepared[statement] = await self.connection.prepare(statement.sql)
        arguments = statement.arguments({**values, "user_id": user_id, "known": []})
        started = time.perf_counter()
        await self.prepared[statement].fetchrow(*arguments)
        return time.perf_counter() - started

    async def request(self, user_id: str, query: str) -> float:
        """Seconds of a request for the list through the application's ASGI interface."""
        return (await self._request(user_id, "/tasks", query)).seconds

    async def changes_request(self, user_id: str, query: str) -> float:
        """Seconds of a request for changes."""
        return (await self._request(user_id, "/tasks/changes", query)).seconds

    async def told(self, user_id: str, query: str) -> Any:
        """Return an answer to a request for changes."""
        return json.decode((await self._request(user_id, "/tasks/changes", query)).body)

    async def rename(self, user_id: str, task_id: int, title: str) -> int:
        """Change a task through the application, and return its revision."""
        answer = await self._request(user_id, f"/tasks/{task_id}", method="PATCH", body=json.encode({"title": title}))
        revision: int = json.decode(answer.body)["revision"]
        return revision

    async def numbers(self, user_id: str, path: str) -> float:
        """Seconds of a request for the profile (an empty path) or the statistics."""
        return (await self._request(user_id, path)).seconds

    async def cursor(self, user_id: str, query: str, offset: int) -> str:
        """Return the cursor of the place after the first `offset` tasks of a list."""
        answer = await self._request(user_id, "/tasks", f"{query}&limit=1&offset={offset - 1}")
        return answer.headers[b"link"].decode().partition("cursor=")[2].partition(">")[0]

    async def _request(
        self, user_id: str, path: str, query: str = "", method: str = "GET", body: bytes = b""
    ) -> Answer:
        token = self.tokens.setdefault(user_id, f"Bearer {mint(self.settings, user_id, 24 * 3600)}".encode())
        sent: list[Any] = []
        scope: Any = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": f"/api/me{path}",
            "raw_path": f"/api/me{path}".encode(),
            "root_path": "",
            "query_string": query.encode(),
            "headers": [
                (b"host", b"localhost"),
                (b"authorization", token),
                *([(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))] if body else ()),
            ],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 8000),
            "extensions": {},
        }

        async def receive() -> Any:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        started = time.perf_counter()
        await self.app(scope, receive, send)
        seconds = time.perf_counter() - started
        if sent[0]["status"] != OK:
            raise RuntimeError(f"{path}?{query} was answered with {sent[0]['status']}")
        return Answer(seconds, dict(sent[0]["headers"]), b"".join(part.get("body", b"") for part in sent[1:]))


@asynccontextmanager
async def opened(settings: Settings, tasks: int, probes: list[str]) -> AsyncIterator[Table]:
    connection = await asyncpg.connect(settings.database_url)
    anyone = [row[0] for row in await connection.fetch("SELECT id FROM users ORDER BY md5(id) LIMIT 10000")]
    size = await connection.fetchval("SELECT pg_database_size(current_database()) / 2 ^ 20")
    async with running(settings) as app:
        yield Table(tasks, round(size), settings, app, connection, probes, anyone)
    await connection.close()


class Timer:
    """Medians of repetitions that took turns, in milliseconds; what is slow is repeated less often."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._taken: dict[Any, list[float]] = defaultdict(list)

    async def time(self, key: Any, call: Callable[[], Awaitable[float]]) -> None:
        """Run it once more, unless it has had its seconds."""
        if sum(self._taken[key]) < self._seconds:
            self._taken[key].append(await call())

    def median(self, key: Any) -> float:
        """Return the median without the first repetition, which compiles and prepares."""
        return statistics.median(self._taken[key][1:] or self._taken[key]) * MILLI
