"""How long the service takes from the start of its process to its first answer, on a database that is up and migrated.

Run it with `python -m tests.load.cold_start`; it starts the database of the benchmark.
"""

import json
import secrets
import socket
import statistics
import subprocess
import sys
import time
from typing import Final

import click

from app.auth.mint import mint
from app.settings import Settings
from tests.load.bench import database
from tests.processes import environment, free_port

MILLI: Final = 1e3
DEADLINE_SECONDS: Final = 30
REQUEST: Final = "GET /api/me/tasks HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n\r\n"


def in_parts(variables: dict[str, str]) -> list[float]:
    command = (sys.executable, "-m", "tests.load.first_request", str(time.monotonic()))
    done = subprocess.run(command, env=environment(**variables), capture_output=True, text=True, check=True)
    times: list[float] = json.loads(done.stdout.splitlines()[-1])
    return times


def served(variables: dict[str, str]) -> float:
    """Return the milliseconds until `litestar run` has answered a list over a socket."""
    port = free_port()
    started = time.monotonic()
    command = (sys.executable, "-m", "litestar", "run", "--port", str(port))
    with subprocess.Popen(command, env=environment(**variables), stdout=subprocess.DEVNULL) as process:
        try:
            with connected(port, started + DEADLINE_SECONDS) as client:
                client.sendall(REQUEST.format(token=variables["TOKEN"]).encode())
                answer = client.recv(65536)
            ended = time.monotonic()
        finally:
            process.terminate()
    assert answer.startswith(b"HTTP/1.1 200"), answer
    return (ended - started) * MILLI


def connected(port: int, deadline: float) -> socket.socket:
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port))
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.002)


@click.command()
@click.option("--rounds", type=click.IntRange(1), default=10, show_default=True)
def main(rounds: int) -> None:
    """Print the medians over the rounds; one start before them fills the caches of the system."""
    settings = Settings(database_url="", better_auth_secret=secrets.token_urlsafe(32))
    with database.running(settings) as running:
        variables = {
            "DATABASE_URL": running.settings.database_url,
            "BETTER_AUTH_SECRET": settings.better_auth_secret,
            "TOKEN": mint(settings, "reader0", 3600),
        }
        served(variables)
        whole = statistics.median(served(variables) for _ in range(rounds))
        split = [statistics.median(one) for one in zip(*(in_parts(variables) for _ in range(rounds)), strict=True)]
    click.echo(f"litestar run, to the first answer: {whole:6.0f} ms\n\nthe same without a server:")
    for name, milliseconds in zip(("interpreter", "import", "application", "first request"), split, strict=True):
        click.echo(f"  {name:<31}{milliseconds:6.0f} ms")


if __name__ == "__main__":
    main()
