import asyncio
import time

import asyncpg

from tests.load.bench import database

DELAY = 0.05


async def test_every_round_trip_takes_longer_by_the_delay(postgres_url: str) -> None:
    with database.delayed(postgres_url, DELAY * 1000) as url:
        connection = await asyncpg.connect(url)
        started = time.monotonic()
        assert [await connection.execute("SELECT 1") for _ in range(3)] == ["SELECT 1"] * 3
        assert time.monotonic() - started >= 3 * DELAY
        await connection.close()


async def test_connections_do_not_wait_for_each_other(postgres_url: str) -> None:
    delay = 5 * DELAY
    with database.delayed(postgres_url, delay * 1000) as url:
        connections = await asyncio.gather(*(asyncpg.connect(url) for _ in range(20)))
        started = time.monotonic()
        await asyncio.gather(*(connection.execute("SELECT 1") for connection in connections))
        assert time.monotonic() - started < 20 * delay
        await asyncio.gather(*(connection.close() for connection in connections))


async def test_what_is_long_arrives_whole_and_in_order(postgres_url: str) -> None:
    text = "".join(map(str, range(500_000)))
    with database.delayed(postgres_url, 1) as url:
        connection = await asyncpg.connect(url)
        assert await connection.fetchval("SELECT $1::text", text) == text
        await connection.close()
