"""A create with a key happens exactly once, whatever becomes of its answers."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from app.settings import Settings
from tests.conftest import random_user
from tests.faults.client import Answer, Client, Unanswered
from tests.faults.cluster import Cluster, fetch
from tests.faults.scale import Scale
from tests.faults.service import Service
from tests.processes import START_SECONDS
from tests.wire import Relay, relayed

DUPLICATES = 50
BODY = {"title": "Once"}
PATIENCE_SECONDS = 20 + START_SECONDS
"""Far more than a cycle needs, a start of the server included."""


async def stored(settings: Settings, user_id: str) -> int:
    """How many tasks the user has, deleted ones too."""
    [row] = await fetch(settings.database_url, f"SELECT count(*) FROM tasks WHERE user_id = '{user_id}'")  # noqa: S608 - our own random text
    return int(row["count"])


async def test_50_duplicates_at_once_on_two_workers_are_one_task(standing: Service) -> None:
    """Beside other creates of the same user; the first one makes the user."""
    for _ in range(4):
        user_id = random_user()
        clients = [standing.client(user_id) for _ in range(DUPLICATES + 10)]
        await asyncio.gather(*(client.request("GET", "/tasks") for client in clients))  # connect
        creating = [client.request("POST", "/tasks", BODY, key="the-same-key") for client in clients[:DUPLICATES]]
        others = [client.request("POST", "/tasks", {"title": "Other"}) for client in clients[DUPLICATES:]]
        answers = await asyncio.gather(*others, *creating)
        for client in clients:
            client.close()
        assert {answer.status for answer in answers} == {201}
        duplicates = answers[len(others) :]
        assert len({answer.body for answer in duplicates}) == 1
        assert sum("idempotent-replayed" not in answer.headers for answer in duplicates) == 1
        assert len({answer.json()["revision"] for answer in answers}) == 1 + len(others)
        assert await stored(standing.settings, user_id) == 1 + len(others)


async def once_stored(relay: Relay, settings: Settings, client: Client, user_id: str) -> asyncio.Task[Answer]:
    """Send a create with a key, and return its request once the database has committed it and has not said so."""
    await client.request("POST", "/tasks", BODY, key="another-key")  # so that its statement is prepared
    relay.answering.clear()
    waiting = asyncio.create_task(client.request("POST", "/tasks", BODY, key="the-same-key"))
    while await stored(settings, user_id) < 2:
        await asyncio.sleep(0.005)
    return waiting


Lose = Callable[[Relay, Client, asyncio.Task[Answer]], Awaitable[Answer]]
"""Takes the answer away, and returns what the client is told in the end."""


@asynccontextmanager
async def losing(settings: Settings, folder: Path) -> AsyncIterator[tuple[Service, Callable[[Lose], Awaitable[None]]]]:
    """Serve through a relay; yield the service, and a cycle of the fault."""
    async with relayed(settings.database_url) as (relay, url):
        service = await Service(folder, replace(settings, database_url=url)).start()

        async def cycle(lose: Lose) -> None:
            user_id = random_user()
            client = service.client(user_id)
            async with asyncio.timeout(PATIENCE_SECONDS):
                answer = await lose(relay, client, await once_stored(relay, settings, client, user_id))
                assert answer.status == 201
                assert answer.headers["idempotent-replayed"] == "true"
                [task] = [
                    task for task in (await client.request("GET", "/tasks")).json() if task["uid"] == "the-same-key"
                ]
                assert task == answer.json()
            assert await stored(settings, user_id) == 2
            client.close()

        yield service, cycle


async def test_a_create_whose_backend_died_between_commit_and_answer_is_sent_again_by_the_server(
    cluster: Cluster, settings: Settings, folder: Path, scale: Scale, report: Callable[[str], None]
) -> None:
    async def kill_backend(relay: Relay, _: Client, waiting: asyncio.Task[Answer]) -> Answer:
        await cluster.terminate_backends()
        relay.cut()
        relay.answering.set()
        return await waiting

    async with losing(settings, folder) as (_, cycle):
        for _ in range(scale.cycles):
            await cycle(kill_backend)
    report(f"create with a key, backend killed between commit and answer: {scale.cycles} times exactly one task")


async def test_a_create_whose_server_died_between_commit_and_answer_can_be_repeated(
    settings: Settings, folder: Path, scale: Scale, report: Callable[[str], None]
) -> None:
    async with losing(settings, folder) as (service, cycle):

        async def kill_server(relay: Relay, client: Client, waiting: asyncio.Task[Answer]) -> Answer:
            await service.kill()
            with pytest.raises(Unanswered):
                await waiting
            relay.answering.set()
            await service.start()
            return await client.request("POST", "/tasks", BODY, key="the-same-key")

        for _ in range(scale.cycles):
            await cycle(kill_server)
    report(f"create with a key, server killed between commit and answer: {scale.cycles} times exactly one task")
