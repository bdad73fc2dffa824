"""Attacks on the connections of a real server, at full length: `python -m tests.faults.transport`.

It prints what each cost the worker in memory, how long the attackers' connections stayed open, and how a client that
works meanwhile fared.
"""

import asyncio
import itertools
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import asyncpg
import psutil  # type: ignore[import-untyped]

from app.auth.mint import mint
from app.development import postgres
from tests.conftest import random_user
from tests.faults.client import Unanswered, Unreachable
from tests.faults.cluster import Cluster
from tests.faults.service import Service
from tests.processes import copied_project

MEBIBYTE = 1 << 20
TICK = 0.1
DRIP_SECONDS = 0.3
LIST_BYTES = 9_000_000


@dataclass(frozen=True, slots=True)
class Length:
    header_timeout: float
    body_timeout: float
    send_timeout: float
    unsent_bytes: int
    endless_bytes: int
    half_sent: int
    readers: int
    pipelining: int

    @property
    def variables(self) -> dict[str, str]:
        return {
            "HEADER_TIMEOUT": str(self.header_timeout),
            "BODY_TIMEOUT": str(self.body_timeout),
            "SEND_TIMEOUT": str(self.send_timeout),
            "MAX_UNSENT_BYTES": str(self.unsent_bytes),
        }


FULL = Length(10, 15, 15, 64 * MEBIBYTE, 192 * MEBIBYTE, half_sent=300, readers=60, pipelining=60)
SHORT = Length(1.2, 1.7, 1.7, 8 * MEBIBYTE, 32 * MEBIBYTE, half_sent=20, readers=12, pipelining=10)


def deadlines(length: Length) -> set[float]:
    return {length.header_timeout, length.body_timeout, length.send_timeout}


@dataclass(slots=True)
class Outcome:
    name: str
    allowed_seconds: float
    seconds_open: float = 0.0
    peak_bytes: int = 0
    kept_bytes: int = 0
    answers: list[str] = field(default_factory=list)
    worst_seconds: float = 0.0

    def __str__(self) -> str:
        others = sorted(set(self.answers) - {"200", "201"})
        return (
            f"{self.name:42} {self.peak_bytes / MEBIBYTE:7.1f} {self.kept_bytes / MEBIBYTE:7.1f} "
            f"{self.seconds_open:7.1f} {self.allowed_seconds:7.1f} {self.worst_seconds * 1000:8.0f} "
            f"{len(self.answers):6d} {', '.join(others) or 'none'}"
        )


DIFFERENT = "long lists that differ, not read"
"""No body is shared: the worker grows by what may be unsent, and by what all of its database connections bring at once,
several copies of it. The deadline begins with the answer, and the database needs its time for each."""

HEADING = "attack                                     peak MB kept MB  open s allowed worst ms  served other answers"


class Attackers:
    """Sockets that send what they are told, and never read."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.sockets: list[socket.socket] = []

    @property
    def ports(self) -> set[int]:
        return {opened.getsockname()[1] for opened in self.sockets}

    async def open(self, number: int = 1) -> Sequence[socket.socket]:
        opened = []
        for _ in range(number):
            attacker = socket.socket()
            attacker.setblocking(False)
            await asyncio.get_running_loop().sock_connect(attacker, ("127.0.0.1", self._port))
            opened.append(attacker)
        self.sockets += opened
        return opened

    async def send(self, data: bytes, number: int = 1) -> None:
        for attacker in await self.open(number):
            await asyncio.get_running_loop().sock_sendall(attacker, data)

    async def ask(self, head: bytes, number: int) -> None:
        """Ask for lists that differ, so that none of them is cached."""
        for place in range(number):
            await self.send(head.replace(b" HTTP/1.1", b"?offset=%d HTTP/1.1" % place))

    async def drip(self, first: bytes, drops: bytes, number: int) -> None:
        """Send the drops one by one, again and again, as long as anybody takes them."""
        await self.send(first, number)
        alive = self.sockets[-number:]
        for place in itertools.cycle(range(len(drops))):
            if not alive:
                return
            await asyncio.sleep(DRIP_SECONDS)
            for attacker in tuple(alive):
                try:
                    attacker.send(drops[place : place + 1])
                except OSError:
                    alive.remove(attacker)

    async def flood(self, first: bytes, piece: bytes, size: int) -> None:
        """Send a piece again and again, up to a size."""
        [attacker] = await self.open()
        loop = asyncio.get_running_loop()
        block = piece * (65536 // len(piece))
        with suppress(OSError):
            await loop.sock_sendall(attacker, first)
            for _ in range(size // len(block)):
                await loop.sock_sendall(attacker, block)

    def close(self) -> None:
        for opened in self.sockets:
            opened.close()


Attack = Callable[[Attackers], Coroutine[None, None, None]]


def attacks(length: Length, token: str) -> dict[str, tuple[Attack, float]]:
    """Each with the seconds after which its connections have to be gone."""
    head = b"POST /api/me/tasks HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAuthorization: Bearer %s\r\n"
    head %= token.encode()
    chunked = head + b"Transfer-Encoding: chunked\r\n\r\n"
    body = head + b"Content-Length: 1000\r\n\r\n"
    partly = b"GET / HTTP/1.1\r\nHost: x\r\nA: "
    whole = b"GET /api/me/tasks HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n" % token.encode()
    health = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
    number, size = length.half_sent, length.endless_bytes
    refused = 5.0  # it has no deadline: as long as it takes to send that much, and to be refused
    return {
        "one endless header": (lambda a: a.flood(partly, b"a", size), refused),
        "endless short headers": (lambda a: a.flood(partly[:-3], b"a: b\r\n", size), refused),
        "an endless address": (lambda a: a.flood(b"GET /", b"a", size), refused),
        "endless trailers": (lambda a: a.flood(chunked + b"0\r\n", b"a: b\r\n", size), refused),
        "an endless extension of a chunk": (lambda a: a.flood(chunked + b"1;", b"a", size), refused),
        "an endless body": (lambda a: a.flood(chunked, b"1\r\na\r\n", size), length.body_timeout),
        "silence": (lambda a: a.send(b"", number), length.header_timeout),
        "half a head": (lambda a: a.send(partly, number), length.header_timeout),
        "half a head, dripping": (lambda a: a.drip(partly, b"abc", number), length.header_timeout),
        "line ends, dripping": (lambda a: a.drip(health, b"\r\n", number), length.header_timeout),
        "half a body": (lambda a: a.send(body + b"{", number), length.body_timeout),
        "half a body, dripping": (lambda a: a.drip(body, b"{ ", number), length.body_timeout),
        "chunks, dripping": (lambda a: a.drip(chunked, b"1\r\n{\r\n", number), length.body_timeout),
        "a body after its answer, dripping": (
            lambda a: a.drip(body.replace(b"Bearer ", b"Bearer"), b"{", number),
            length.body_timeout,
        ),
        "requests in one go": (lambda a: a.send(health * (250_000 // len(health)), length.pipelining), refused),
        "a long list, not read": (lambda a: a.send(whole, length.readers), length.send_timeout),
        "a long list again and again, not read": (lambda a: a.send(whole * 20, length.readers), length.send_timeout),
        DIFFERENT: (lambda a: a.ask(whole, length.readers), length.send_timeout + length.readers / 3),
    }


async def seed(url: str, user_id: str) -> None:
    """Give a user a list of LIST_BYTES."""
    connection = await asyncpg.connect(url)
    await connection.execute("INSERT INTO users (id, revision) VALUES ($1, 1000)", user_id)
    await connection.execute(
        """INSERT INTO tasks (user_id, title, description, tags, priority, revision)
        SELECT $1, repeat($2, 200), repeat($2, 1000), array_fill(repeat($2, 50), ARRAY[$3::int]), 2, n
        FROM generate_series(1, 1000) AS n""",
        user_id,
        "\U0001f600",
        20,
    )
    await connection.close()


@asynccontextmanager
async def working(service: Service, outcome: Outcome) -> AsyncIterator[None]:
    """A client that reads and writes all the time, and expects its answers."""

    async def work() -> None:
        client = service.client(random_user())
        for number in itertools.count():
            method, body = ("GET", None) if number % 2 else ("POST", {"title": "x"})
            started = time.monotonic()
            try:
                outcome.answers.append((await client.request(method, "/tasks", body)).code)
            except (Unanswered, Unreachable) as failure:
                outcome.answers.append(type(failure).__name__)
            outcome.worst_seconds = max(outcome.worst_seconds, time.monotonic() - started)
            await asyncio.sleep(0.02)

    task = asyncio.create_task(work())
    try:
        yield
    finally:
        task.cancel()


def open_ports(process: psutil.Process) -> set[int]:
    """Clients' ports of the connections that the worker holds."""
    return {connection.raddr.port for connection in process.net_connections("tcp4") if connection.raddr}


async def suffer(service: Service, name: str, attack: Attack, allowed: float) -> Outcome:
    """Let one attack happen, and look at the worker until all its connections are gone."""
    outcome = Outcome(name, allowed)
    [worker] = service.server.worker_ids
    process = psutil.Process(worker)
    attackers = Attackers(service.port)
    before = process.memory_info().rss
    async with working(service, outcome):
        await asyncio.sleep(0.2)
        task = asyncio.create_task(attack(attackers))
        started = time.monotonic()
        while not task.done() or attackers.ports & open_ports(process):
            outcome.peak_bytes = max(outcome.peak_bytes, process.memory_info().rss - before)
            outcome.seconds_open = time.monotonic() - started
            if outcome.seconds_open > allowed + 20:
                break
            await asyncio.sleep(TICK)
        task.cancel()
        attackers.close()
        await asyncio.sleep(0.2)
    outcome.kept_bytes = process.memory_info().rss - before
    return outcome


@asynccontextmanager
async def attacked(cluster: Cluster, length: Length) -> AsyncIterator[tuple[Service, str]]:
    """A service with one worker, and the token of a user with a long list."""
    settings = await asyncio.to_thread(cluster.database)
    user_id = random_user()
    await seed(settings.database_url, user_id)
    with copied_project() as folder:
        service = await Service(folder, settings, workers=1, **length.variables).start()
        client = service.client(user_id)
        for _ in range(3):  # what a worker needs once is there before anything is measured
            assert len((await client.request("GET", "/tasks")).body) > LIST_BYTES
        client.close()
        yield service, mint(settings, user_id, 3600)


async def run(cluster: Cluster, names: Sequence[str]) -> None:
    async with attacked(cluster, FULL) as (service, token):
        sys.stdout.write(f"{HEADING}\n")
        for name, (attack, allowed) in attacks(FULL, token).items():
            if not names or any(part in name for part in names):
                sys.stdout.write(f"{await suffer(service, name, attack, allowed)}\n")
                sys.stdout.flush()


if __name__ == "__main__":
    with copied_project() as project, postgres.running(project / ".dev") as url:
        asyncio.run(run(Cluster(url, project / ".dev" / "postgres"), sys.argv[1:]))
