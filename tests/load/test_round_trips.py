import re
import secrets
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import asyncpg
import httpx
import pytest

from app.settings import Settings
from tests.conftest import SENSITIVE
from tests.load.bench import contenders, database, seed
from tests.load.bench.contenders import Contender
from tests.load.bench.database import Database
from tests.load.bench.peers import PEERS
from tests.load.bench.plans import Data, Request
from tests.load.bench.work import WORK
from tests.wire import relayed

DOCUMENT = Path(__file__).parents[2] / "docs" / "performance.md"
MEASURED = ("list", "one", "create", "patch", "toggle")
WARM_UP = 30
COUNTED = 20

pytestmark = pytest.mark.usefixtures("tools")


def documented() -> dict[str, tuple[int, ...]]:
    """The table of round trips: a contender and five numbers."""
    rows = re.findall(r"^\| ([^|]+) \| (\d+ \| \d+ \| \d+ \| \d+ \| \d+) \|$", DOCUMENT.read_text(), flags=re.MULTILINE)
    return {name: tuple(map(int, numbers.split(" | "))) for name, numbers in rows}


@pytest.fixture(scope="module")
def bench() -> Iterator[Database]:
    settings = Settings(database_url="", better_auth_secret=secrets.token_urlsafe(32))
    SENSITIVE.add(settings.better_auth_secret)
    with database.running(settings) as running:
        yield running


@pytest.fixture(scope="module")
def data(bench: Database) -> Data:
    return Data(*(seed.users(group, bench.settings) for group in ("reader", "writer", "mixed")))


async def send(client: httpx.AsyncClient, request: Request) -> None:
    headers = {"Authorization": f"Bearer {request.user.token}"}
    if request.body:
        headers["Content-Type"] = "application/json"
    response = await client.request(request.method, request.path, headers=headers, content=request.body or None)
    assert response.is_success, response.text


def test_every_contender_is_in_the_documented_table() -> None:
    assert documented().keys() == {one.title for one in (contenders.ours(1), *PEERS)}


@pytest.mark.parametrize("contender", [contenders.ours(1), *PEERS], ids=lambda contender: contender.key)
async def test_round_trips_per_request_are_those_documented(contender: Contender, bench: Database, data: Data) -> None:
    connection = await asyncpg.connect(bench.settings.database_url)
    await seed.restore_writers(connection)
    await connection.close()
    counted = []
    async with relayed(bench.settings.database_url) as (relay, url):
        settings = replace(bench.settings, database_url=url)
        async with (
            contenders.serving([contender], settings) as [running],
            httpx.AsyncClient(base_url=running.url) as client,
        ):
            for work in (work for work in WORK if work.key in MEASURED):
                requests = islice(work.plan(data), WARM_UP + COUNTED)
                for request in islice(requests, WARM_UP):  # connections learn types, statements are prepared
                    await send(client, request)
                relay.reset()
                for request in requests:
                    await send(client, request)
                counted.append(round(relay.round_trips / COUNTED))
    assert tuple(counted) == documented()[contender.title]
