import gzip
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import httpx
import pytest
import zstandard

from app.http import compression
from app.http.compression import GZIP, ZSTD, Coding, accepted
from app.settings import Settings
from tests.conftest import ORIGIN, client_of, random_user, running

TASKS: Final = "/api/me/tasks"
UNPACK: Final[dict[str, Callable[[bytes], bytes]]] = {
    "gzip": gzip.decompress,
    "zstd": lambda body: zstandard.ZstdDecompressor().decompress(body),
}


async def raw(client: httpx.AsyncClient, coding: str, method: str = "GET", **headers: str) -> tuple[Any, bytes]:
    """The answer, and its body as it came."""
    async with client.stream(method, TASKS, headers={"Accept-Encoding": coding, **headers}) as response:
        return response, b"".join([part async for part in response.aiter_raw()])


async def fill(client: httpx.AsyncClient, tasks: int = 20) -> None:
    for number in range(tasks):
        await client.post(TASKS, json={"title": f"Task {number}"})


@pytest.mark.parametrize(
    ("header", "coding"),
    [
        (None, None),
        (b"", None),
        (b"identity", None),
        (b"gzip", GZIP),
        (b"GZIP", GZIP),
        (b"gzip, deflate, br, zstd", ZSTD),
        (b"br;q=1.0, gzip;q=0.8, *;q=0.1", GZIP),
        (b"gzip;q=0", None),
        (b"gzip ; q=0.000, zstd;q=0.5", ZSTD),
        (b"xgzip, gzipx", None),
        (b"\xff, gzip", GZIP),
        (b"gzip," + b" " * 300, None),
    ],
)
def test_the_client_says_how_a_list_may_be_packed(header: bytes | None, coding: Coding | None) -> None:
    assert accepted({"headers": [] if header is None else [(b"accept-encoding", header)]}) is coding


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
async def test_a_packed_list_is_the_same_list(client: httpx.AsyncClient, coding: str) -> None:
    await fill(client)
    plain, whole = await raw(client, "identity")
    for _ in range(2):  # from the database, and from the cache
        packed, body = await raw(client, coding)
        assert packed.headers["content-encoding"] == coding
        assert int(packed.headers["content-length"]) == len(body) < len(whole) / 3
        assert UNPACK[coding](body) == whole
        assert packed.headers["etag"] == f"W/{plain.headers['etag']}"
    for response in (plain, packed):
        assert "Accept-Encoding" in ", ".join(response.headers.get_list("vary"))


async def test_a_short_list_and_a_task_are_not_packed(client: httpx.AsyncClient) -> None:
    await fill(client, tasks=1)
    short, body = await raw(client, "gzip")
    assert "content-encoding" not in short.headers
    assert body.startswith(b"[{")
    assert not short.headers["etag"].startswith("W/")


@pytest.mark.parametrize("coding", ["identity", "gzip", "zstd"])
async def test_304_repeats_the_tag_of_the_answer_that_the_client_holds(client: httpx.AsyncClient, coding: str) -> None:
    await fill(client)
    first, _ = await raw(client, coding)
    for held in (first.headers["etag"], "*"):
        again, body = await raw(client, coding, **{"If-None-Match": held})
        assert (again.status_code, body, again.headers["etag"]) == (304, b"", first.headers["etag"])
        assert "content-encoding" not in again.headers
        assert "Accept-Encoding" in ", ".join(again.headers.get_list("vary"))


async def test_caches_keep_the_codings_apart_for_other_origins_too(client: httpx.AsyncClient) -> None:
    await fill(client)
    response, _ = await raw(client, "gzip", Origin=ORIGIN)
    assert response.headers["access-control-allow-origin"] == ORIGIN
    varying = ", ".join(response.headers.get_list("vary"))
    assert all(name in varying for name in ("Accept-Encoding", "Authorization", "Origin"))


async def test_head_has_the_headers_of_the_packed_list(client: httpx.AsyncClient) -> None:
    await fill(client)
    full, _ = await raw(client, "gzip")
    head, body = await raw(client, "gzip", "HEAD")
    assert body == b""
    for name in ("content-length", "content-encoding", "etag", "vary"):
        assert head.headers[name] == full.headers[name]


async def test_a_weak_tag_of_a_list_never_lets_a_task_be_written(client: httpx.AsyncClient) -> None:
    task = (await client.post(TASKS, json={"title": "x"})).json()
    tag = {"If-Match": f'W/"{task["revision"]}"'}
    assert (await client.patch(f"{TASKS}/{task['id']}", json={"title": "y"}, headers=tag)).status_code == 412


async def test_an_unchanged_list_is_packed_once_a_revision(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(client)
    packed: list[int] = []

    def pack(body: bytes) -> bytes:
        packed.append(len(body))
        return ZSTD.pack(body)

    counting = Coding(b"zstd", pack)
    monkeypatch.setattr(compression, "_chosen", lambda _: counting)
    for _ in range(3):
        await raw(client, "zstd")
    assert len(packed) == 1
    await client.post(TASKS, json={"title": "another"})
    for _ in range(3):
        await raw(client, "zstd")
    assert len(packed) == 2


async def test_nothing_is_packed_where_it_is_switched_off(settings: Settings) -> None:
    off = replace(settings, compress_lists=False)
    async with running(off) as app, client_of(app, off, random_user()) as client:
        await fill(client)
        response, body = await raw(client, "gzip, zstd")
    assert "content-encoding" not in response.headers
    assert body.startswith(b"[{")
