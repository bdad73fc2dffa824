"""What a cached token costs, in the verifier and in the middleware, and how large a full cache gets.

Run it with `python -m tests.load.token_cost`; it needs neither a database nor an issuer.
"""

import asyncio
import gc
import secrets
import statistics
import time
import tracemalloc
from collections.abc import Awaitable, Callable
from typing import Any

import click
import jwt

from app.auth.bearer import BearerToken
from app.auth.mint import mint
from app.auth.tokens import CACHE_ENTRIES, CACHE_TOKEN_LENGTH, TokenVerifier
from app.db.database import Database
from app.settings import Settings

ROUNDS = 25
CALLS = 20_000
MICRO = 1e6
MEBIBYTE = 2**20
LONGEST_PADDING = CACHE_TOKEN_LENGTH * 3 // 4 - 150
"""Makes tokens just short enough to be remembered: base64 turns three bytes into four letters."""


async def microseconds(call: Callable[[], Awaitable[Any]]) -> float:
    """Median over rounds of the processor time of one call."""
    rounds = []
    for _ in range(ROUNDS):
        started = time.process_time()
        for _ in range(CALLS):
            await call()
        rounds.append((time.process_time() - started) / CALLS * MICRO)
    return statistics.median(rounds)


async def cache_bytes(settings: Settings, padding: int) -> int:
    """Memory of as many remembered verdicts as there can be, the tokens included; `padding` makes them longer."""
    verifier = TokenVerifier(settings, Database(settings))
    expires = int(time.time()) + 3600
    gc.collect()
    tracemalloc.start()
    for _ in range(CACHE_ENTRIES):
        claims = {"sub": secrets.token_hex(16), "exp": expires, "x": "x" * padding}
        await verifier.verify(jwt.encode(claims, settings.secrets[0], algorithm="HS256"))
    gc.collect()
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return size


async def main() -> None:
    settings = Settings(database_url="postgresql://localhost/none", better_auth_secret=secrets.token_urlsafe(32))
    verifier = TokenVerifier(settings, Database(settings))
    middleware = BearerToken(verifier)
    token = mint(settings, secrets.token_hex(16), 3600)
    headers = [(b"host", b"testserver"), (b"accept", b"*/*"), (b"authorization", f"Bearer {token}".encode())]
    scope: Any = {"type": "http", "method": "GET", "headers": headers, "path_params": {"user_id": "me"}, "state": {}}
    nothing: Any = None

    async def application(*_: Any) -> None:
        pass

    bare = await microseconds(lambda: application(scope, nothing, nothing))
    verified = await microseconds(lambda: verifier.verify(token))
    handled = await microseconds(lambda: middleware.handle(scope, nothing, nothing, application))
    click.echo(f"verifier, cached token:   {verified:6.2f} µs")
    click.echo(f"middleware, cached token: {handled - bare:6.2f} µs")
    for kind, padding in {"short": 0, "the longest": LONGEST_PADDING}.items():
        size = await cache_bytes(settings, padding)
        click.echo(f"{CACHE_ENTRIES} verdicts of {kind} tokens: {size / MEBIBYTE:.1f} MiB")


if __name__ == "__main__":
    asyncio.run(main())
