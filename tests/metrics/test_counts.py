"""What is counted where: by statement and outcome, by rule of a refusal, by limit."""

import asyncio
import os
import secrets
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.multiprocess import MultiProcessCollector

from app.auth.bearer import ACCEPTED, BearerToken, Unauthorized
from app.auth.mint import mint
from app.auth.tokens import TokenVerifier
from app.db.database import Database
from app.db.failures import AnswerLost, QueueFull
from app.db.observation import Execution
from app.errors import TooManyRequests
from app.metrics import ended, families, processes, worker
from app.metrics.exposition import Exposition
from app.metrics.files import Files
from app.metrics.statements import StatementCounts
from app.metrics.worker import WorkerMetrics
from app.quotas import Limit
from app.ratelimit.limiter import RateLimiter
from app.settings import Settings
from tests.auth.test_tokens import OTHER, claims, sign
from tests.conftest import SENSITIVE, client_of, running
from tests.processes import until

UNIQUE = 2000
"""Series that do not fit into the first 64 KiB of a file."""


def execution(
    *, took: float = 0.003, waited: float = 0.0, retries: int = 0, error: BaseException | None = None
) -> Execution:
    made = Execution.begin("tasks.list")
    made.attempt()
    if error is not None:
        made.failed(error)
    made.took, made.waited, made.retries = took, waited, retries
    return made


def samples(directory: Path) -> dict[tuple[str, str], float]:
    """The values in a folder, by name and the last of their labels."""
    found = MultiProcessCollector(None, str(directory)).collect()
    return {
        (sample.name, "".join([*sample.labels.values()][-1:])): sample.value
        for family in found
        for sample in family.samples
    }


def test_outcomes_of_statements_are_told_apart() -> None:
    counts = StatementCounts()
    for one in (
        execution(),
        execution(took=11.0, waited=0.02, retries=2),
        execution(took=0.0, error=ConnectionRefusedError()),  # nothing was sent
        execution(error=TimeoutError()),
        execution(error=AnswerLost()),
        execution(error=asyncio.CancelledError()),
        execution(error=QueueFull()),
    ):
        counts.observe(one)
    counts.count()
    [(labels, durations)] = counts.durations.items()
    assert labels == ("tasks.list",)
    assert [*map(int, durations[:-1])] == [0, 0, 0, 4, *[0] * 10, 1]
    assert durations[-1] == pytest.approx(11.0 + 4 * 0.003)
    assert sum(counts.waits[()][:-1]) == 6
    assert counts.waits[()][-1] == 0.02
    assert (counts.retries, counts.failures, counts.unknown) == (
        {"tasks.list": 2},
        {"tasks.list": 2},
        {"tasks.list": 1},
    )


@pytest.mark.parametrize("seconds", [0.0005, 0.00050001, 10.0])
def test_a_bucket_has_what_is_as_long_as_its_bound(seconds: float) -> None:
    counts = StatementCounts()
    counts.observe(execution(took=seconds))
    counts.count()
    series = counts.durations["tasks.list",]
    assert series.index(1) == {0.0005: 0, 0.00050001: 1, 10.0: 13}[seconds]


def test_numbers_are_put_to_those_of_others_that_ended_once(tmp_path: Path) -> None:
    for name, number in (("7-1", 3), ("7-2", 4)):  # ids of processes return
        files = Files(tmp_path, name)
        files.write_counts(families.PROBLEMS, {"not_found": number})
        files.write(families.CONNECTIONS_LIMIT, (), 10)
        files.close()
    before = samples(tmp_path)
    assert before["tasks_problems_total", "not_found"] == 7
    assert before["tasks_database_connections_limit", ""] == 20
    for name in ("7-1", "7-1", "7-2"):
        ended.bury(tmp_path, name)
    assert samples(tmp_path) == {("tasks_problems_total", "not_found"): 7}
    assert ended.workers(tmp_path) == set()


def test_files_grow_with_what_is_in_them(tmp_path: Path) -> None:
    files = Files(tmp_path, "7-1")
    counts = {f"code_{number}": number for number in range(UNIQUE)}
    files.write_counts(families.PROBLEMS, counts)
    files.write_counts(families.PROBLEMS, counts | {"code_1": 5})
    files.close()
    expected = {("tasks_problems_total", name): value for name, value in (counts | {"code_1": 5}).items()}
    assert samples(tmp_path) == expected


def test_a_process_is_known_by_its_id_and_the_moment_it_began() -> None:
    own = processes.identity()
    assert processes.living(own)
    assert not processes.has_ended(own)
    number, _, began = own.partition("-")
    assert processes.has_ended(f"{number}-{int(began) - 1}")


def test_without_proc_a_process_is_known_by_its_id(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(processes, "PROC", tmp_path)
    own = processes.identity()
    assert processes.living(own) is None
    assert not processes.has_ended(own)
    assert processes.has_ended(f"{2**22 + 1}-0")  # above the highest id that Linux gives


async def test_numbers_that_cannot_be_written_are_reported_once_and_tried_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(worker, "INTERVAL", 0.01)
    metrics = WorkerMetrics(str(tmp_path), [])
    full = True

    def reading() -> float:
        if full:
            raise OSError
        return 5

    metrics.show(families.LIST_CACHE_BYTES, reading)
    await metrics.start()
    await asyncio.sleep(0.1)
    full = False
    await metrics.stop()
    assert "".join(capsys.readouterr()).count("metrics cannot be written") == 1
    assert samples(tmp_path)["tasks_list_cache_bytes", ""] == 5


async def test_an_application_of_another_server_leaves_its_numbers_in_the_folder_that_is_given(
    settings: Settings, tmp_path: Path, user_id: str
) -> None:
    watched = replace(settings, metrics_port=9464, prometheus_multiproc_dir=str(tmp_path))
    exposition = Exposition(tmp_path)
    async with running(watched) as app, client_of(app, settings, user_id) as client:
        assert (await client.post("/api/me/tasks", json={"title": "t"})).status_code == 201
        assert (await client.get("/api/me/tasks")).status_code == 200
        families_ = {family.name: family.samples for family in exposition.collect()}
        [own] = families_["tasks_worker_resident_memory_bytes"]
        assert own.labels == {"pid": str(os.getpid())}
        assert own.value > 2**20
    left = samples(tmp_path)
    assert left["tasks_database_statement_duration_seconds_count", "tasks.create"] == 1
    assert left["tasks_tokens_total", ACCEPTED] == 2
    assert left["tasks_list_cache_requests_total", "miss"] == 1
    assert left["tasks_list_cache_bytes", ""] > 0
    assert left["tasks_database_connections_limit", ""] == settings.database_pool_size


def test_migrations_are_timed_and_what_nobody_can_tell_is_not_told(tmp_path: Path) -> None:
    exposition = Exposition(tmp_path)

    def told() -> dict[str, float]:
        return {family.name: family.samples[0].value for family in exposition.collect() if "migrations" in family.name}

    async def refused() -> int:
        raise ConnectionRefusedError

    async def two() -> int:
        return 2

    exposition.ask_for_pending(refused)
    exposition.ask_for_pending(two)
    until(lambda: told() == {"tasks_migrations_pending": 2})
    with exposition.migrating():
        pass
    assert told()["tasks_migrations_pending"] == 0
    assert 0 <= told()["tasks_migrations_seconds"] < 30


def scope(token: str | None, method: str = "GET") -> Any:
    headers = [] if token is None else [(b"authorization", f"Bearer {token}".encode())]
    return {
        "type": "http",
        "method": method,
        "headers": headers,
        "state": {},
        "client": ("192.0.2.1", 50000),
        "path_params": {"user_id": "me"},
    }


async def test_verdicts_are_counted_by_the_rule_that_refused(settings: Settings) -> None:
    secret = settings.better_auth_secret
    tokens = {
        "missing": None,
        "malformed": "x",
        "other_kind": "abcdefghijklmnopqrstuvwxyzABCDEF",
        "algorithm": sign(claims(), algorithm="EdDSA", kid="1"),
        "signature": sign(claims(), OTHER),
        "expired": sign(claims(exp=1), secret),
        "not_yet_valid": sign(claims(iat=10**11), secret),
        "claims": sign(claims(exp=...), secret),
        "issuer": sign(claims(iss="x"), secret),
        "audience": sign(claims(aud="x"), secret),
        "client": sign(claims(cnf={}), secret),
    }
    bearer = BearerToken(TokenVerifier(settings, Database(settings)))
    for rule, token in tokens.items():
        with pytest.raises(Unauthorized):
            await bearer.check(scope(token))
        assert {name for name, number in bearer.verdicts.items() if number} == {rule}
        bearer.verdicts[rule] = 0
    good = mint(settings, "user-1", 60)
    SENSITIVE.add(good)
    for _ in range(2):  # the second time it is remembered
        await bearer.check(scope(good))
    assert {name: number for name, number in bearer.verdicts.items() if number} == {ACCEPTED: 2}


async def test_refusals_are_counted_for_the_limit_that_is_met(settings: Settings) -> None:
    limits = replace(
        settings, rate_limit=Limit(3, 86400), rate_limit_writes=Limit(1, 86400), rate_limit_failed_auth=Limit(1, 86400)
    )
    limiter = RateLimiter(limits)
    assert limiter.request(scope(None, "POST"), "ada") is None
    for method, limit in (("POST", "writes"), ("GET", "")):
        if limit:
            with pytest.raises(TooManyRequests):
                limiter.request(scope(None, method), "ada")
        else:
            limiter.request(scope(None, method), "ada")
    with pytest.raises(TooManyRequests):
        limiter.request(scope(None), "ada")
    assert limiter.refused == {"user": 1, "writes": 1, "failed-auth": 0}
    bad = scope(secrets.token_hex(8))
    await limiter.refusal(bad)
    for _ in range(2):  # the second time it is remembered
        with pytest.raises(TooManyRequests):
            await limiter.refusal(bad)
    assert limiter.refused["failed-auth"] == 2
