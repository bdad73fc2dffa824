"""The stream as a client of one worker sees it, over a socket."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from app.settings import Settings
from tests.conftest import random_user
from tests.events.client import HEAD, Stream, token
from tests.events.conftest import Device, DeviceOf
from tests.servers import serving

BATCH = {"operations": [{"op": "put", "uid": f"one-of-five-{n}", "data": {"title": "x"}} for n in range(5)]}


async def test_a_stream_begins_with_when_to_come_back_and_no_revision(device: Device) -> None:
    await device.write()
    stream = await device.follow()
    assert (stream.status, stream.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    assert (stream.headers["cache-control"], stream.headers["x-accel-buffering"]) == ("no-store", "no")
    assert "content-encoding" not in stream.headers
    assert "content-length" not in stream.headers
    assert re.fullmatch(r"retry: [23]\d\d\d\n\n", stream.text)


async def test_clients_are_told_to_come_back_at_different_times(device: Device) -> None:
    streams = [await device.follow() for _ in range(8)]
    assert len({stream.text for stream in streams}) > 1


def uid(task: dict[str, Any]) -> str:
    return f"/api/me/tasks/{task['id']}"


WRITES: dict[str, Callable[[httpx.AsyncClient, dict[str, Any]], Awaitable[httpx.Response]]] = {
    "create": lambda http, _: http.post("/api/me/tasks", json={"title": "x"}),
    "create with a key": lambda http, _: http.post("/api/me/tasks", json={"title": "x", "uid": "named-once"}),
    "update": lambda http, task: http.patch(uid(task), json={"title": "y"}),
    "replace": lambda http, task: http.put(uid(task), json={"title": "z"}),
    "complete": lambda http, task: http.patch(f"{uid(task)}/complete"),
    "delete": lambda http, task: http.delete(uid(task)),
    "restore": lambda http, task: http.post(f"{uid(task)}/restore"),
    "batch": lambda http, _: http.post("/api/me/tasks/batch", json=BATCH),
}


async def test_every_kind_of_write_is_told_with_the_revision_that_it_made(device: Device) -> None:
    task = (await device.http.post("/api/me/tasks", json={"title": "first"})).json()
    stream = await device.follow()
    for name, write in WRITES.items():
        before = len(stream.revisions)
        answer = await write(device.http, task)
        assert answer.is_success, (name, answer.text)
        revision = (await device.http.get("/api/me")).json()["revision"]
        await stream.until_revision(revision)
        assert len(stream.revisions) == before + 1, name


async def test_what_writes_nothing_is_not_told(device: Device) -> None:
    task = (await device.http.post("/api/me/tasks", json={"title": "x", "uid": "named-already"})).json()
    stream = await device.follow()
    statuses = [
        (await device.http.post("/api/me/tasks", json={"title": "x", "uid": "named-already"})).status_code,
        (await device.http.patch(uid(task), json={"title": "y"}, headers={"If-Match": '"1"'})).status_code,
        (await device.http.delete("/api/me/tasks/999999999")).status_code,
        (await device.http.post("/api/me/tasks/batch", json={"operations": [{"op": "delete", "id": 9}]})).status_code,
        (await device.http.get("/api/me/tasks")).status_code,
    ]
    assert statuses == [201, 412, 404, 200, 200]
    revision = await device.write()
    await stream.until_revision(revision)
    assert stream.revisions == [revision]


async def test_all_streams_of_a_user_are_told_and_nobody_elses(device: Device, device_at: DeviceOf) -> None:
    stranger = await device_at(device.address)
    own = [await device.follow(), await device.follow(path=f"/api/{device.user_id}/events/")]
    others = await stranger.follow()
    revision = await device.write()
    for stream in own:
        await stream.until_revision(revision)
    theirs = await stranger.write()
    await others.until_revision(theirs)
    assert others.revisions == [theirs]
    assert own[0].revisions == [revision]


async def test_erasure_is_told_by_a_revision_of_which_nothing_can_be_told(device: Device) -> None:
    last = await device.write()
    stream = await device.follow()
    assert (await device.http.delete("/api/me")).status_code == 204
    await stream.until_revision(last + 1)
    changes = await device.http.get("/api/me/tasks/changes", params={"since": last})
    assert (changes.status_code, changes.json()["code"]) == (410, "changes_gone")
    again = await device.write()
    assert again > last + 1
    await stream.until_revision(again)
    assert stream.revisions == [last + 1, again]


async def test_a_stream_ends_with_its_token_and_says_so(device: Device) -> None:
    stream = await device.follow(seconds=5)
    revision = await device.write()
    await stream.until_end()
    assert stream.text.endswith("\n\nevent: expired\ndata: {}\n\n")
    assert stream.revisions == [revision]
    assert (await device.follow(seconds=-1)).status == 401


async def test_head_is_the_head_of_a_stream_and_leaves_none_behind(device: Device) -> None:
    for _ in range(15):  # more than a user may have
        head = await device.http.head("/api/me/events")
        assert (head.status_code, head.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    assert (await device.follow()).status == 200


async def test_a_client_of_http_1_0_gets_the_bytes_as_they_are_until_the_connection_ends(device: Device) -> None:
    parts = urlsplit(device.address)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    head = HEAD.format(path="/api/me/events", token=token(device.settings, device.user_id, 5))
    writer.write(head.replace("HTTP/1.1", "HTTP/1.0").encode())
    async with asyncio.timeout(30):
        answer = await reader.read()
    writer.close()
    names, _, body = answer.decode().partition("\r\n\r\n")
    assert "transfer-encoding" not in names
    assert "connection: close" in names
    assert re.fullmatch(r"retry: \d+\n\nevent: expired\ndata: {}\n\n", body)


async def test_refusals_are_problems_before_the_stream_begins(address: str, device: Device) -> None:
    anonymous = await Stream.open(address, "a.b.c")
    strange = await device.follow(path="/api/somebody-else/events")
    assert [(anonymous.status, strange.status)] == [(401, 403)]
    for refused, code in ((anonymous, "unauthorized"), (strange, "forbidden")):
        await refused.until(f'"code":"{code}"')
        assert refused.headers["content-type"] == "application/problem+json"
        await refused.close()


async def test_ten_streams_of_a_user_are_open_at_once_and_one_that_ends_makes_room(device: Device) -> None:
    streams = [await device.follow() for _ in range(10)]
    refused = await device.follow()
    assert (refused.status, refused.headers["retry-after"]) == (429, "30")
    await refused.until('"code":"too_many_streams"')
    assert (await device.http.head("/api/me/events")).status_code == 429
    await streams[0].close()
    async with asyncio.timeout(30):
        while (await device.follow()).status == 429:
            await asyncio.sleep(0.05)


async def test_a_worker_holds_as_many_streams_as_the_setting_says(settings: Settings, device_at: DeviceOf) -> None:
    with serving(replace(settings, max_streams=2)) as address:
        devices = [await device_at(address) for _ in range(3)]
        streams = [await device.follow() for device in devices]
        assert [stream.status for stream in streams] == [200, 200, 503]
        await streams[2].until('"code":"streams_full"')
        assert streams[2].headers["retry-after"] == "5"
        revision = await devices[0].write()
        await streams[0].until_revision(revision)


async def test_a_stream_of_an_oauth_client_needs_the_scope_to_read(address: str, settings: Settings) -> None:
    import jwt  # noqa: PLC0415 - only here

    claims = jwt.decode(token(settings, random_user()), options={"verify_signature": False})
    for scope, status in (("tasks:read", 200), ("tasks:write", 403)):
        signed = jwt.encode({**claims, "scope": scope}, settings.better_auth_secret, algorithm="HS256")
        stream = await Stream.open(address, signed)
        assert stream.status == status
        await stream.close()


@pytest.mark.parametrize("direct", [True, False], ids=["direct", "litestar"])
async def test_the_end_of_the_server_ends_streams_and_says_when_to_come_back(
    settings: Settings, device_at: DeviceOf, direct: bool
) -> None:
    with serving(replace(settings, direct_dispatch=direct)) as address:
        device = await device_at(address)
        streams = [await device.follow() for _ in range(5)]
        revision = await device.write()
        await streams[0].until_revision(revision)
        await device.http.aclose()
        began = asyncio.get_running_loop().time()
        ends = asyncio.gather(*(stream.until_end() for stream in streams))
    await ends
    assert asyncio.get_running_loop().time() - began < 20
    for stream in streams:
        assert stream.revisions == [revision]
        assert re.search(r"\n\nretry: [1-5]\d\d\d\n\n$", stream.text)
    assert len({stream.text for stream in streams}) > 1
