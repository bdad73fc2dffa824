"""Against a server that refuses generic plans over the wire, in the words of a Citus coordinator."""

import asyncio
import struct
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import httpx
import pytest
from structlog.testing import capture_logs

from app.settings import Settings
from tests.conftest import client_of, random_user, running
from tests.wire import SOCKET, message, startup_message

TASKS = "/api/me/tasks"
BATCHED = {"op": "put", "uid": "put-in-a-batch", "data": {"title": "batched"}}
FIELDS = {
    "S": "ERROR",
    "V": "ERROR",
    "C": "0A000",
    "M": "could not create distributed plan",
    "D": "Possibly this is caused by the use of parameters in SQL functions, which is not supported in Citus.",
    "H": "Consider using PL/pgSQL functions instead.",
}
"""Of the ErrorResponse (PostgreSQL documentation, "Error and Notice Message Fields")."""

BODY = "".join(f"{letter}{text}\0" for letter, text in FIELDS.items()).encode() + b"\0"
REFUSAL = b"E" + struct.pack("!I", len(BODY) + 4) + BODY + b"Z\0\0\0\x05I"
"""And ReadyForQuery, outside of a transaction."""

PLAN_CACHE_MODES = {b"SET plan_cache_mode = force_generic_plan\0": True, b"RESET plan_cache_mode\0": False}


class Coordinator:
    """Passes on what a connection sends, but executes nothing on it while generic plans are forced."""

    def __init__(self, target: Path) -> None:
        self.refusals = 0
        self.refuses_several = False
        """Whether it refuses statements for several requests, whose users live on several shards."""

        self.always = False
        """Whether it refuses whatever the setting is, as for a statement that Citus lacks altogether."""

        self._target = target

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server, upstream = await asyncio.open_unix_connection(str(self._target))
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await asyncio.gather(self._forward(reader, upstream, writer), back(server, writer))
        writer.transport.abort()
        upstream.transport.abort()

    async def _forward(
        self, reader: asyncio.StreamReader, upstream: asyncio.StreamWriter, client: asyncio.StreamWriter
    ) -> None:
        upstream.write(await startup_message(reader))
        forced = executes = refused = False
        several: dict[bytes, bool] = {}
        batch = b""
        while True:
            sent = await message(reader)
            kind = sent[:1]
            forced = PLAN_CACHE_MODES.get(sent[5:], forced)
            if kind == b"P":
                name, _, text = sent[5:].partition(b"\0")
                several[name] = b"LATERAL" in text
            if kind == b"B":
                _, name, _ = sent[5:].split(b"\0", 2)
                executes = True
                refused = self.refuses_several and several[name]
            batch += sent
            if kind in {b"S", b"H", b"Q", b"X"}:
                if executes and (forced or refused or self.always):
                    self.refusals += 1
                    client.write(REFUSAL)
                else:
                    upstream.write(batch)
                executes, refused, batch = False, False, b""


async def back(server: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
    while data := await server.read(65536):
        client.write(data)
    raise ConnectionResetError


@asynccontextmanager
async def coordinated(settings: Settings, **parameters: str) -> AsyncIterator[tuple[Coordinator, httpx.AsyncClient]]:
    """A client of an application whose URL, with these parameters, leads to a coordinator."""
    [folder] = parse_qs(urlsplit(settings.database_url).query)["host"]
    coordinator = Coordinator(Path(folder) / SOCKET)
    with tempfile.TemporaryDirectory() as own:
        async with await asyncio.start_unix_server(coordinator.serve, Path(own) / SOCKET):
            url = "&".join((settings.database_url.replace(quote(folder), own), urlencode(parameters)))
            through = replace(settings, database_url=url)
            async with running(through) as app, client_of(app, through, random_user()) as client:
                yield coordinator, client


async def test_every_request_succeeds_and_nothing_is_written_twice(settings: Settings) -> None:
    async with coordinated(settings) as (coordinator, client):
        created = await client.post(TASKS, json={"title": "first"})
        assert created.status_code == 201
        assert coordinator.refusals == 1
        path = f"{TASKS}/{created.json()['id']}"
        for method, address, body, status in [
            ("GET", TASKS, None, 200),
            ("GET", f"{TASKS}?status=pending&sort=title", None, 200),
            ("GET", path, None, 200),
            ("PATCH", path, {"title": "changed"}, 200),
            ("PATCH", f"{path}/complete", None, 200),
            ("POST", f"{TASKS}/batch", {"operations": [{"op": "delete", "id": 1}, BATCHED]}, 200),
            ("GET", "/api/me/stats", None, 200),
            ("GET", "/api/me", None, 200),
        ]:
            assert (await client.request(method, address, json=body)).status_code == status, (method, address)
        assert coordinator.refusals == 1
        assert [task["title"] for task in (await client.get(TASKS)).json()] == ["batched", "changed"]
        assert (await client.delete("/api/me")).status_code == 204


async def test_a_batch_that_is_refused_in_its_transaction_is_begun_again(settings: Settings) -> None:
    async with coordinated(settings) as (coordinator, client):
        answer = await client.post(f"{TASKS}/batch", json={"operations": [BATCHED]})
        assert answer.status_code == 200
        assert coordinator.refusals == 1
        assert [task["title"] for task in (await client.get(TASKS)).json()] == ["batched"]


async def test_connections_that_force_generic_plans_already_stop_doing_so(settings: Settings) -> None:
    async with coordinated(settings) as (coordinator, client):
        with capture_logs() as logs:
            made = await asyncio.gather(*(client.post(TASKS, json={"title": str(n)}) for n in range(10)))
        assert [answer.status_code for answer in made] == [201] * 10
        assert 1 <= coordinator.refusals <= 10
        assert [entry["log_level"] for entry in logs if "plan" in entry["event"]] == ["info"]
        refusals = coordinator.refusals
        listed = await asyncio.gather(*(client.get(TASKS) for _ in range(20)))
        assert {len(answer.json()) for answer in listed} == {10}
        assert coordinator.refusals == refusals


@pytest.mark.parametrize("parameters", [{}, {"pgbouncer": "true"}], ids=["direct", "pooled"])
async def test_reads_are_sent_one_by_one_from_the_first_refusal_on(
    settings: Settings, parameters: dict[str, str]
) -> None:
    async with coordinated(settings, **parameters) as (coordinator, client):
        coordinator.refuses_several = True
        path = f"{TASKS}/{(await client.post(TASKS, json={'title': 'x'})).json()['id']}"
        refused = []
        for _ in range(5):
            answers = await asyncio.gather(*(client.get(path) for _ in range(50)))
            assert [answer.status_code for answer in answers] == [200] * 50
            refused.append(coordinator.refusals)
        assert 1 <= refused[0] <= 3
        assert set(refused) == {refused[0]}


@pytest.mark.parametrize(("method", "body"), [("GET", None), ("POST", {"title": "x"})])
async def test_what_is_refused_either_way_is_503_at_once(settings: Settings, method: str, body: object) -> None:
    patient = replace(settings, database_timeout=60, database_cold_start_timeout=60)
    async with coordinated(patient) as (coordinator, client):
        assert (await client.delete("/api/me")).status_code == 204  # connects
        coordinator.always = True
        async with asyncio.timeout(30):
            answer = await client.request(method, TASKS, json=body)
        assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
        assert coordinator.refusals == 2
