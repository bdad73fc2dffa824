"""An ASGI application without a framework, for two peers that differ only in who makes the JSON.

PyJWT verifies the token on every request; nothing is logged.
"""

import os
from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import Annotated, Any, Final, Protocol
from urllib.parse import parse_qs

import asyncpg
import jwt
from msgspec import UNSET, DecodeError, Meta, Struct, UnsetType, structs
from msgspec.json import Decoder

SECRET: Final = os.environ["BETTER_AUTH_SECRET"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Title = Annotated[str, Meta(min_length=1, max_length=200)]
Description = Annotated[str, Meta(max_length=1000)]


class TaskCreate(Struct):
    title: Title
    description: Description | None = None
    priority: int = 2
    tags: list[str] = []
    due_date: str | None = None


class TaskUpdate(Struct):
    title: Title | UnsetType = UNSET
    description: Description | UnsetType | None = UNSET
    priority: int | UnsetType = UNSET
    tags: list[str] | UnsetType = UNSET
    completed: bool | UnsetType = UNSET


class Stored(Struct):
    """The JSON of one task and its revision."""

    body: bytes
    revision: int


class Tasks(Protocol):
    """What the two peers implement, each method in one statement."""

    async def page(self, user_id: str, status: str, tag: str | None, limit: int) -> bytes: ...
    async def get(self, user_id: str, task_id: int) -> Stored | None: ...
    async def create(self, user_id: str, task: TaskCreate) -> Stored: ...
    async def update(self, user_id: str, task_id: int, changes: dict[str, Any]) -> Stored | None: ...
    async def toggle(self, user_id: str, task_id: int) -> Stored | None: ...
    async def delete(self, user_id: str, task_id: int) -> bool: ...


class HTTPError(Exception):
    def __init__(self, status: HTTPStatus) -> None:
        self.status = status


def changed(update: TaskUpdate) -> dict[str, Any]:
    return {name: value for name, value in structs.asdict(update).items() if value is not UNSET}


def user_of(headers: list[tuple[bytes, bytes]]) -> str:
    scheme, _, token = dict(headers).get(b"authorization", b"").partition(b" ")
    try:
        if scheme.lower() == b"bearer":
            return str(jwt.decode(token, SECRET, algorithms=["HS256"])["sub"])
    except jwt.PyJWTError:
        pass
    raise HTTPError(HTTPStatus.UNAUTHORIZED)


async def body_of(receive: Receive) -> bytes:
    message = await receive()
    body: bytes = message["body"]
    while message.get("more_body"):
        message = await receive()
        body += message["body"]
    return body


class Application:
    """Routes requests to the tasks that `make` builds over a pool."""

    def __init__(self, make: Callable[[asyncpg.Pool], Tasks], **pool: Any) -> None:
        self._make = make
        self._pool_options = pool
        self._create = Decoder(TaskCreate)
        self._update = Decoder(TaskUpdate)

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        try:
            status, headers, body = await self._answer(scope, receive)
        except HTTPError as error:
            status, headers, body = error.status, [], b""
        except DecodeError:
            status, headers, body = HTTPStatus.UNPROCESSABLE_ENTITY, [], b""
        if status != HTTPStatus.NO_CONTENT:
            headers += [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": int(status), "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        size = int(os.environ["DATABASE_POOL_SIZE"])
        pool = await asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=size, max_size=size, **self._pool_options)
        self._tasks = self._make(pool)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await pool.close()
        await send({"type": "lifespan.shutdown.complete"})

    async def _answer(
        self, scope: dict[str, Any], receive: Receive
    ) -> tuple[HTTPStatus, list[tuple[bytes, bytes]], bytes]:
        user_id = user_of(scope["headers"])
        tasks = self._tasks
        stored: Stored | None
        match scope["method"], scope["path"].split("/")[1:]:
            case _, ["api", owner, "tasks", *_] if owner != user_id:
                raise HTTPError(HTTPStatus.FORBIDDEN)
            case "GET", ["api", _, "tasks"]:
                query = {key: values[0] for key, values in parse_qs(scope["query_string"].decode()).items()}
                body = await tasks.page(
                    user_id, query.get("status", "all"), query.get("tag"), int(query.get("limit", 1000))
                )
                return HTTPStatus.OK, [], body
            case "POST", ["api", _, "tasks"]:
                stored = await tasks.create(user_id, self._create.decode(await body_of(receive)))
                return HTTPStatus.CREATED, [(b"etag", b'"%d"' % stored.revision)], stored.body
            case "DELETE", ["api", _, "tasks", task_id]:
                if not await tasks.delete(user_id, int(task_id)):
                    raise HTTPError(HTTPStatus.NOT_FOUND)
                return HTTPStatus.NO_CONTENT, [], b""
            case "GET", ["api", _, "tasks", task_id]:
                stored = await tasks.get(user_id, int(task_id))
            case "PATCH", ["api", _, "tasks", task_id]:
                changes = changed(self._update.decode(await body_of(receive)))
                stored = await tasks.update(user_id, int(task_id), changes)
            case "PATCH", ["api", _, "tasks", task_id, "complete"]:
                stored = await tasks.toggle(user_id, int(task_id))
            case _:
                stored = None
        if stored is None:
            raise HTTPError(HTTPStatus.NOT_FOUND)
        return HTTPStatus.OK, [(b"etag", b'"%d"' % stored.revision)], stored.body


def assignments(changes: dict[str, Any], first: int) -> str:
    """Write the SET list of an update; the names are those of `TaskUpdate`, the values parameters from `first` on."""
    return ", ".join(["updated_at = now()", *(f"{name} = ${number}" for number, name in enumerate(changes, first))])
