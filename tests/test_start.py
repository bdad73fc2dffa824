import os
import re
import secrets
import shutil
import signal
import socket
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from app.auth.mint import mint
from app.development import postgres
from app.settings import Settings
from tests.conftest import random_user
from tests.processes import Server, command, copied_project, environment, processes_in, until

SECRET = secrets.token_urlsafe(32)


@pytest.fixture(scope="module")
def served() -> Iterator[Server]:
    """A running service with two workers, in a copy of the project that was never started before."""
    with copied_project() as folder:
        yield Server(folder, workers=2).serving()


@pytest.fixture
def folder() -> Iterator[Path]:
    """A copy of the project to start and stop."""
    with copied_project() as folder:
        yield folder


def client_of(server: Server, user_id: str) -> httpx.Client:
    """Use a token of the development secret; servers that share a folder share it too."""
    secret = (server.folder / ".dev" / "secret").read_text()
    token = mint(Settings(database_url="", better_auth_secret=secret), user_id, 3600)
    return httpx.Client(base_url=f"{server.url}/api/me", headers={"Authorization": f"Bearer {token}"})


def titles(client: httpx.Client) -> list[str]:
    answer = client.get("/tasks")
    assert answer.status_code == 200
    return [task["title"] for task in answer.json()]


def test_pasted_curl_line_answers_200(served: Server, tmp_path: Path) -> None:
    (tmp_path / ".curlrc").write_text('write-out = " %{http_code}"')
    ran = subprocess.run(
        ["bash", "-c", served.curl],
        env=environment(HOME=str(tmp_path), CURL_HOME=str(tmp_path)),
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout == "[] 200"


@pytest.mark.skipif(shutil.which("psql") is None, reason="needs psql on the PATH")
def test_pasted_psql_line_reaches_the_embedded_database(served: Server) -> None:
    line = re.search("psql .*", served.output)
    assert line, served.output
    ran = subprocess.run(
        ["bash", "-c", f"{line[0]} --no-align --tuples-only"],
        input="SELECT version_num FROM tasks_version",
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert re.fullmatch(r"\d{4}\n", ran.stdout)


def test_documentation_answers_under_the_printed_url(served: Server) -> None:
    assert f"Documentation  {served.url}/docs " in served.output
    assert httpx.get(f"{served.url}/docs").status_code == 200
    assert httpx.get(f"{served.url}/openapi.json").status_code == 200


@pytest.mark.parametrize("path", ["/", "/docs", "/nowhere", "/api/me/tasks"])
def test_no_answer_names_the_server_software(served: Server, path: str) -> None:
    assert "server" not in httpx.get(f"{served.url}{path}").headers


def test_every_worker_answers(served: Server) -> None:
    assert len(set(served.worker_ids)) == 2
    for paused in served.worker_ids:
        os.kill(paused, signal.SIGSTOP)
        try:
            with client_of(served, random_user()) as client:
                assert titles(client) == []
        finally:
            os.kill(paused, signal.SIGCONT)


def test_development_secret_is_for_its_owner_only(served: Server) -> None:
    assert stat.S_IMODE((served.folder / ".dev" / "secret").stat().st_mode) == 0o600


def test_workers_share_one_database_in_a_session_of_its_own(served: Server) -> None:
    numbers = {int(file.read_text().split()[0]) for file in served.folder.rglob("postmaster.pid")}
    [postmaster] = numbers
    assert os.getsid(postmaster) == postmaster


def test_second_server_beside_the_first_shares_the_database_and_leaves_it_running(served: Server) -> None:
    second = Server(served.folder).serving()
    title = secrets.token_hex(8)
    with client_of(served, user_id := random_user()) as client, client_of(second, user_id) as beside:
        assert client.post("/tasks", json={"title": title}).status_code == 201
        assert titles(beside) == [title]
        assert second.terminate() == 0
        assert titles(client) == [title]


@pytest.mark.parametrize("workers", [1, 2])
def test_data_and_tokens_survive_every_way_to_end(folder: Path, workers: int) -> None:
    server = Server(folder, workers=workers).serving()
    title = secrets.token_hex(8)
    with client_of(server, random_user()) as client:
        assert client.post("/tasks", json={"title": title}).status_code == 201

        server.kill()
        until(lambda: all(process.info["name"] == "postgres" for process in processes_in(folder)))
        server = Server(folder, workers=workers, port=server.port).serving()
        assert titles(client) == [title]

        assert server.terminate() == 0
        until(lambda: not processes_in(folder))
        server = Server(folder, workers=workers, port=server.port).serving()
        assert titles(client) == [title]

        assert server.interrupt() == 0
        until(lambda: not processes_in(folder))
    assert "Traceback" not in server.output


@pytest.mark.parametrize("end", [Server.terminate, Server.interrupt])
def test_an_end_during_the_first_start_leaves_nothing_behind(folder: Path, end: Callable[[Server], int]) -> None:
    server = Server(folder)
    until(lambda: any(process.info["name"] in {"initdb", "postgres"} for process in processes_in(folder)), 60)
    end(server)
    until(lambda: not processes_in(folder))
    with postgres.running(folder / ".dev"):
        assert processes_in(folder)


def test_unmigrated_production_database_gives_503_and_stays_untouched(
    folder: Path, create_database: Callable[[], str]
) -> None:
    address = create_database()
    server = Server(folder, DATABASE_URL=address, BETTER_AUTH_SECRET=SECRET).serving()
    token = mint(Settings(database_url=address, better_auth_secret=SECRET), random_user(), 60)
    answer = httpx.get(f"{server.url}/api/me/tasks", headers={"Authorization": f"Bearer {token}"})
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert server.terminate() == 0
    assert not (folder / ".dev").exists()
    assert "curl" not in server.output


@pytest.mark.parametrize(
    ("launcher", "variable", "value"),
    [
        ("litestar run", "BETTER_AUTH_SECRET", "tooshort-hushhush"),
        ("litestar run --wc 2", "DATABASE_URL", "mysql://me:hushhush@db/tasks"),
        ("uvicorn --factory app:create_app", "BETTER_AUTH_SECRET", ""),
    ],
)
def test_wrong_setting_stops_the_start_with_one_sentence(
    folder: Path, launcher: str, variable: str, value: str
) -> None:
    right = {"DATABASE_URL": "postgresql://me:hushhush@db/tasks", "BETTER_AUTH_SECRET": SECRET}
    ran = command(folder, *launcher.split(), **{**right, variable: value})
    assert ran.returncode == 1
    assert ran.stdout == ""
    assert ran.stderr.startswith(variable)
    assert ran.stderr.count("\n") == 1
    assert "hushhush" not in ran.stderr
    assert not (folder / ".dev").exists()


@pytest.mark.parametrize(
    "variables",
    [{}, {"DATABASE_URL": "postgresql://me@127.0.0.1:1/tasks", "BETTER_AUTH_SECRET": SECRET}],
    ids=["development", "production"],
)
@pytest.mark.parametrize("workers", ["1", "2"])
def test_port_that_is_taken_stops_the_start_with_one_sentence_and_no_banner(
    folder: Path, workers: str, variables: dict[str, str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ran = command(folder, "litestar", "run", "--port", port, "--wc", workers, **variables)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr == f"Port {port} is already in use; stop what listens there, or choose another --port.\n"
    assert not (folder / ".dev" / "postgres").exists()
