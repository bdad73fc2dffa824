"""What tokens with unknown key ids cost everybody else: fetches of the issuer's keys, and a legitimate user's p50.

Run it with `python -m tests.load.unknown_keys`; it starts a database, an issuer and the service on the loopback.
"""

import asyncio
import os
import secrets
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import httpx

from app.db import migrations
from app.development import postgres
from app.settings import Settings
from tests.auth.issuer import Issuer, SigningKey, issuing
from tests.processes import NEVER_LIMITED, free_port

REQUESTS = 10_000
CALM_REQUESTS = 1_500
MILLI = 1e3


def token(key: SigningKey, issuer: Issuer) -> str:
    return key.token({"sub": "legitimate", "iss": issuer.url, "aud": issuer.url, "exp": int(time.time()) + 900})


@contextmanager
def service(database_url: str, issuer_url: str) -> Iterator[str]:
    port = free_port()
    variables = {"DATABASE_URL": database_url, "BETTER_AUTH_URL": issuer_url, "LOG_FORMAT": "json", **NEVER_LIMITED}
    command = [sys.executable, "-m", "litestar", "run", "--port", str(port)]
    with subprocess.Popen(command, env={**os.environ, **variables}, stdout=subprocess.DEVNULL) as process:
        try:
            yield f"http://127.0.0.1:{port}/api/me/tasks"
        finally:
            process.terminate()


async def until_served(client: httpx.AsyncClient, url: str) -> None:
    while True:
        try:
            (await client.get(url)).raise_for_status()
        except httpx.TransportError:
            await asyncio.sleep(0.1)
        else:
            return


async def request_time(client: httpx.AsyncClient, url: str) -> float:
    started = time.perf_counter()
    (await client.get(url)).raise_for_status()
    return time.perf_counter() - started


async def attack(url: str) -> None:
    """Send REQUESTS tokens, one after the other, each with a key id of its own."""
    issuer = Issuer()
    stranger = SigningKey.make("EdDSA", "")
    async with httpx.AsyncClient() as client:
        for _ in range(REQUESTS):
            forged = token(SigningKey("EdDSA", secrets.token_hex(16), stranger.private), issuer)
            response = await client.get(url, headers={"Authorization": f"Bearer {forged}"})
            assert response.status_code == httpx.codes.UNAUTHORIZED


async def measure(database_url: str) -> None:
    key = SigningKey.make("EdDSA", "known")
    async with issuing(key) as issuer:
        with service(database_url, issuer.url) as url:
            headers = {"Authorization": f"Bearer {token(key, issuer)}"}
            async with httpx.AsyncClient(headers=headers) as client:
                await until_served(client, url)
                calm = [await request_time(client, url) for _ in range(CALM_REQUESTS)]
                fetches, started = issuer.fetches, time.monotonic()
                attacker = await asyncio.create_subprocess_exec(sys.executable, "-m", __spec__.name, url)
                ended = asyncio.create_task(attacker.wait())
                attacked = []
                while not ended.done():
                    attacked.append(await request_time(client, url))
                seconds = time.monotonic() - started
    before, during = (statistics.median(times) * MILLI for times in (calm, attacked))
    click.echo(f"{REQUESTS} unknown key ids in {seconds:.0f} s: {issuer.fetches - fetches} fetches of the keys")
    click.echo(
        f"p50 of a legitimate user: {before:.2f} ms calm, {during:.2f} ms meanwhile, ratio {during / before:.2f}"
    )


def main() -> None:
    with postgres.running(Path(".dev") / "load") as database_url:
        migrations.upgrade(Settings(database_url=database_url))
        asyncio.run(measure(database_url))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        asyncio.run(attack(sys.argv[1]))
    else:
        main()
