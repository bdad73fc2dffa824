"""Alerts, dashboard and runbooks read what a real service shows, and the right alerts see that a database is off."""

import asyncio
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import asyncpg
import pytest
import yaml  # type: ignore[import-untyped]

from tests.documents.blocks import the_block
from tests.faults.cluster import Cluster
from tests.metrics.conftest import Watched, watched
from tests.metrics.scrapes import Labels, Scrape
from tests.operations.promql import FOLDER, alerts, grouped, queries, selectors
from tests.processes import copied_project, until

FAILING = 24
"""Requests while the database is off, each of which is tried until it is given up: more than the guards ask for."""

JOB = "litestar-tasks"
Series = list[tuple[str, Labels, float, float]]
"""Name, labels, and the values of two scrapes."""


class Outage(NamedTuple):
    healthy: Scrape
    off: Scrape
    log: str

    def series(self) -> Series:
        """Every series of both scrapes; what is only in the second began at 0."""
        before = {notation(name, labels): value for name, labels, value in self.healthy.samples()}
        return [
            (name, labels, before.get(notation(name, labels), 0.0), after) for name, labels, after in self.off.samples()
        ]


def requests(service: Watched, number: int, title: str) -> set[int]:
    """Send reads and writes of a user at once, and return the statuses of the answers."""
    headers = service.user()

    def ask(turn: int) -> int:
        if turn % 2:
            return service.ask("GET", "/api/me/tasks", headers=headers).status_code
        return service.ask("POST", "/api/me/tasks", headers=headers, json={"title": title}).status_code

    with ThreadPoolExecutor(8) as clients:
        return set(clients.map(ask, range(number)))


@pytest.fixture(scope="module")
def outage(cluster: Cluster) -> Iterator[Outage]:
    """Scrape a service whose database runs, and again when it had been off for some requests."""
    settings = cluster.database()
    with copied_project() as folder:
        service = watched(folder, settings, DATABASE_TIMEOUT="2", DATABASE_COLD_START_TIMEOUT="5", LOG_FORMAT="json")
        assert requests(service, FAILING, "t") == {200, 201}
        until(lambda: "tasks_migrations_pending" in Scrape.of(service.port).names())
        healthy = service.scrape()
        asyncio.run(cluster.stop())
        try:
            assert requests(service, FAILING, "t") == {503}
            off = service.scrape()
        finally:
            asyncio.run(cluster.start())
        yield Outage(healthy, off, service.server.output)


def notation(name: str, labels: Labels) -> str:
    """Write a series as promtool reads it, with the labels that Prometheus adds."""
    named = ",".join(f'{label}="{value}"' for label, value in (labels | {"job": JOB, "instance": "a"}).items())
    return f"{name}{{{named}}}"


def check(series: Series, true: set[str], folder: Path) -> None:
    """Let promtool evaluate the expression of every alert after two scrapes, a minute apart."""
    values = [*series, ("up", {}, 1.0, 1.0)]
    test = {
        "interval": "1m",
        "input_series": [
            {"series": notation(name, labels), "values": f"{before} {after}"} for name, labels, before, after in values
        ],
        "promql_expr_test": [
            {
                "expr": f"count({alert['expr']}) > bool 0 or vector(0)",
                "eval_time": "1m",
                "exp_samples": [{"labels": "{}", "value": int(alert["alert"] in true)}],
            }
            for alert in alerts()
        ],
    }
    file = folder / "test.yml"
    rules = str(FOLDER / "alerts.yml")
    file.write_text(yaml.safe_dump({"rule_files": [rules], "evaluation_interval": "1m", "tests": [test]}))
    done = subprocess.run(["promtool", "test", "rules", file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(shutil.which("promtool") is None, reason="needs promtool on the PATH")
def test_database_that_is_off_makes_the_expressions_of_the_right_alerts_true_and_no_other(
    outage: Outage, tmp_path: Path
) -> None:
    check(outage.series(), {"TasksDatabaseUnavailable", "TasksErrorBudget"}, tmp_path)
    check([(name, labels, before, before) for name, labels, before, _ in outage.series()], set(), tmp_path)


def test_every_query_selects_what_a_real_scrape_has(outage: Outage) -> None:
    samples = [(name, labels) for scrape in (outage.healthy, outage.off) for name, labels, _ in scrape.samples()]
    for query in queries():
        selected = [[labels for name, labels in samples if one.matches(name, labels)] for one in selectors(query)]
        assert all(selected), query
        if selected:
            assert grouped(query) <= {label for found in selected for labels in found for label in labels}, query


def test_commands_of_the_runbooks_find_what_they_are_for_in_a_real_log(outage: Outage, tmp_path: Path) -> None:
    (tmp_path / "service.log").write_text("".join(line for line in outage.log.splitlines(True) if line[0] == "{"))

    def run(containing: str) -> list[str]:
        command = the_block("docs/operations.md", "bash", containing).splitlines()[0]
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command], cwd=tmp_path, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.decode().splitlines()

    assert len(run('"database unavailable"')) == FAILING
    for nothing in ('"internal_error"', '"keys cannot be fetched"', ".status == 429"):
        assert run(nothing) == []


async def test_statement_of_the_runbook_says_how_large_data_and_wal_are(cluster: Cluster) -> None:
    settings = await asyncio.to_thread(cluster.database)
    connection = await asyncpg.connect(settings.database_url)
    row = await connection.fetchrow(the_block("docs/operations.md", "sql", "pg_ls_waldir"))
    await connection.close()
    assert row["data"].endswith("kB")
    assert row["wal"].endswith("MB")
    assert (row["not_archived"], row["idle_slots"]) == (None, None)
