import asyncio
import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from app.auth.mint import mint
from app.settings import Settings
from tests.conftest import SENSITIVE, random_user
from tests.load.bench.environment import FOLDER
from tests.processes import environment, until
from tests.servers import serving

PEOPLE = 5
LONGEST_SECONDS = 60
TASKS = 3
STEPS = {
    "list",
    "list, filtered",
    "create",
    "one task",
    "patch",
    "complete",
    "list, If-None-Match",
    "delete",
    "stats",
}
SEEDING = {"seed: list", "seed: create"}

pytestmark = pytest.mark.usefixtures("tools")


def locust(address: str, reached: Callable[[], bool], **variables: str) -> subprocess.CompletedProcess[str]:
    """Run it until it ends or this is reached, however long that takes on a busy machine."""
    options = ("--headless", "--json", "--host", address, "--users", str(PEOPLE), "--spawn-rate", str(PEOPLE))
    command = (
        FOLDER / "bin" / "locust",
        "-f",
        "tests/load/locustfile.py",
        *options,
        "--run-time",
        f"{LONGEST_SECONDS}s",
    )
    given = environment(LOAD_TASKS=str(TASKS), LOAD_THINK_SECONDS="0.01", **variables)
    with subprocess.Popen(command, env=given, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        until(lambda: process.poll() is not None or reached(), LONGEST_SECONDS)
        process.terminate()
        output, errors = process.communicate()
    return subprocess.CompletedProcess(command, process.returncode, output, errors)


async def back_again(settings: Settings, users: str) -> int:
    """How many of these have come to the end and begun again: have created a second task, those of the start aside."""
    connection = await asyncpg.connect(settings.database_url)
    try:
        people: int = await connection.fetchval(
            "SELECT count(*) FROM (SELECT FROM tasks WHERE user_id LIKE $1 GROUP BY user_id HAVING count(*) > $2)"
            " AS person",
            users,
            TASKS + 1,
        )
    finally:
        await connection.close()
    return people


def statistics(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    return {entry["name"]: entry for entry in json.loads(done.stdout)}


def test_people_with_tokens_of_the_secret_take_every_step_without_a_failure(settings: Settings) -> None:
    def reached() -> bool:
        return asyncio.run(back_again(settings, "load-%")) == PEOPLE

    with serving(settings) as address:
        done = locust(address, reached, BETTER_AUTH_SECRET=settings.better_auth_secret, LOAD_USERS=str(PEOPLE))
    assert done.returncode == 0, done.stdout + done.stderr
    assert statistics(done).keys() == STEPS | SEEDING
    assert statistics(done)["seed: list"]["num_requests"] == PEOPLE
    assert statistics(done)["seed: create"]["num_requests"] == PEOPLE * TASKS
    assert all(entry["num_requests"] > 0 for entry in statistics(done).values())
    assert not [entry["name"] for entry in statistics(done).values() if entry["num_failures"]]


def test_people_with_tokens_from_a_file_are_let_in(settings: Settings, tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    prefix = random_user()
    issued = [mint(settings, f"{prefix}-{number}", 600) for number in range(PEOPLE)]
    SENSITIVE.update(issued)
    file.write_text("\n".join(issued))

    def reached() -> bool:
        return asyncio.run(back_again(settings, f"{prefix}-%")) > 0

    with serving(settings) as address:
        done = locust(address, reached, LOAD_TOKEN_FILE=str(file))
    assert done.returncode == 0, done.stdout + done.stderr
    assert statistics(done)["create"]["num_requests"] > 0


@contextmanager
def refusing(headers: dict[str, str]) -> Iterator[tuple[str, list[str]]]:
    """A server that answers everything with 503, and the methods it was asked with."""
    asked: list[str] = []

    class Refusal(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.command)
            self.send_response(503)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Refusal) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()
            thread.join()


def quiet(asked: list[str]) -> bool:
    """Whether everybody has asked, and nobody once more in the second after."""
    before = len(asked)
    time.sleep(1)
    return PEOPLE <= before == len(asked)


def test_people_who_are_told_to_come_back_later_do_not_come_back_earlier(settings: Settings) -> None:
    with refusing({"Retry-After": "60"}) as (address, asked):
        done = locust(address, lambda: quiet(asked), BETTER_AUTH_SECRET=settings.better_auth_secret)
    assert len(asked) == PEOPLE
    assert statistics(done)["seed: list"]["num_failures"] == PEOPLE


def test_people_come_back_when_they_were_told_to(settings: Settings) -> None:
    with refusing({"Retry-After": "0"}) as (address, asked):
        locust(address, lambda: len(asked) > PEOPLE, BETTER_AUTH_SECRET=settings.better_auth_secret)
    assert len(asked) > PEOPLE


def test_without_secret_and_tokens_it_ends_with_one_sentence() -> None:
    done = locust("http://127.0.0.1:1", lambda: False)
    assert done.returncode != 0
    assert "Set BETTER_AUTH_SECRET, or LOAD_TOKEN_FILE" in done.stderr + done.stdout
