"""Where the time of a request goes on the real server: the same load on one layer after the other.

Run it with `python -m tests.load.layers`. Every layer is a server of its own, one worker, 32 connections; in each round
all are measured one after the other, every second round backwards. It prints the worker's processor time per request.
"""

import asyncio
import secrets
import statistics
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, cast

import click
import uvicorn

from app import logs
from app.asgi import create_app
from app.db.database import Database
from app.http.outermost import Outermost
from app.http.protocol import ProtocolFactory
from app.settings import Settings, get_settings
from tests.load import own_code
from tests.load.bench import wrk
from tests.load.bench.contenders import Contender, Running, serving
from tests.load.bench.database import running
from tests.load.bench.plans import Data, Request, lists, single_tasks, text
from tests.load.bench.seed import users
from tests.load.bench.usage import around, cpu_seconds
from tests.load.bench.work import REPLAY
from tests.load.peers import floor

CONNECTIONS: Final = 32
MICRO: Final = 1e6
SETTLE_SECONDS: Final = 0.3


def outermost() -> Any:
    """The outermost layer around what the layer below answers."""
    return Outermost(floor.app, methods={}, draining=lambda: False, log=logs.access(get_settings()))


def without_database() -> Any:
    """The whole application on a database that answers at once."""
    Database.fetch = own_code.answer  # type: ignore[method-assign, assignment]
    return create_app()


LAYERS: Final[dict[str, tuple[Callable[[], Any], str]]] = {
    # name: what is served, and what is asked for
    "uvicorn": (lambda: floor.app, "constant"),
    "+ our protocol": (lambda: floor.app, "constant"),
    "+ the outermost layer": (outermost, "constant"),
    "+ dispatch": (create_app, "constant"),
    "+ token, guard and handler": (without_database, "one"),
    "+ database: one task": (create_app, "one"),
    "the same through Litestar": (create_app, "one"),
    "+ database: list of 50": (create_app, "list"),
}
VARIABLES: Final = {"the same through Litestar": {"DIRECT_DISPATCH": "false"}}


def serve(name: str, port: int) -> None:
    """Serve one layer, as `litestar run` serves the whole."""
    uvicorn.run(
        LAYERS[name][0](),
        port=port,
        log_config=None,
        access_log=False,
        server_header=False,
        ws="none",
        http="httptools" if name == "uvicorn" else cast("Any", ProtocolFactory(get_settings())),
        proxy_headers=False,
    )


def plans(settings: Settings) -> dict[str, list[Request]]:
    """The requests for each kind of answer."""
    data = Data(users("reader", settings), [], [])
    constant = [Request("GET", "/health", data.readers[0])]
    return {"constant": constant, "one": list(single_tasks(data)), "list": list(lists(data))}


async def measure(settings: Settings, rounds: int, seconds: float) -> dict[str, list[float]]:
    """Return microseconds of the worker's processor time per request, by layer, one for each round."""
    contenders = [
        Contender(
            f"layer{number}", name, (sys.executable, "-m", __spec__.name, "--serve", name), VARIABLES.get(name, {})
        )
        for number, name in enumerate(LAYERS)
    ]
    found: dict[str, list[float]] = {name: [] for name in LAYERS}
    with tempfile.TemporaryDirectory() as folder:
        for kind, requests in plans(settings).items():
            (Path(folder) / kind).write_text(text(requests))
        async with serving(contenders, settings) as layers:
            for number in range(rounds):
                for layer in layers if number % 2 == 0 else layers[::-1]:
                    name = layer.contender.title
                    found[name].append(await cost(layer, Path(folder) / LAYERS[name][1], seconds))
    return found


async def cost(layer: Running, plan: Path, seconds: float) -> float:
    """Warm a layer up, and return its processor time per request in microseconds."""
    load = partial(wrk.run, layer.url, REPLAY, plan, connections=CONNECTIONS)
    await load(seconds=seconds / 4)
    before, done, _ = await around(
        lambda seconds: load(seconds=seconds), seconds, lambda: cpu_seconds(layer.process_id)
    )
    if done.errors or not done.requests:
        raise click.ClickException(f"{layer.contender.title}: {done.errors or 'no answer'}")
    await asyncio.sleep(SETTLE_SECONDS)
    return (cpu_seconds(layer.process_id) - before) / done.requests * MICRO


@click.command()
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True)
@click.option("--seconds", type=click.FloatRange(0.1), default=2.0, show_default=True, help="Of each measurement.")
@click.option("--serve", "layer", type=click.Choice(list(LAYERS)), hidden=True)
@click.option("--port", type=int, envvar="PORT", hidden=True)
def main(rounds: int, seconds: float, layer: str | None, port: int) -> None:
    """Print the median processor time of each layer, what it adds, and its multiple of uvicorn alone."""
    if layer is not None:
        serve(layer, port)
        return
    wrk.require()
    with running(Settings(database_url="", better_auth_secret=secrets.token_urlsafe(32))) as database:
        found = asyncio.run(measure(database.settings, rounds, seconds))
    medians = {name: statistics.median(times) for name, times in found.items()}
    added = [0.0, *(later - earlier for earlier, later in pairwise(medians.values()))]
    click.echo(f"{'µs of processor time per request':<36}{'median':>8}{'added':>8}{'times uvicorn':>16}")
    for (name, median), more in zip(medians.items(), added, strict=True):
        click.echo(f"{name:<36}{median:>8.1f}{more:>8.1f}{median / medians['uvicorn']:>16.2f}")


if __name__ == "__main__":
    main()
