"""The attacks of `python -m tests.faults.transport`, in a short form."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.faults import transport
from tests.faults.cluster import Cluster
from tests.faults.service import Service
from tests.faults.transport import DIFFERENT, MEBIBYTE, SHORT, Outcome, attacked, attacks, suffer

GROWTH = 10 * MEBIBYTE
TOLERANCE = 10
"""Seconds: one for a deadline that is late, one until a drop is refused, and a busy machine; what has none takes 20."""

Attacked = tuple[Service, str]


@pytest.fixture(scope="module")
async def service(cluster: Cluster) -> AsyncIterator[Attacked]:
    async with attacked(cluster, SHORT) as service:
        yield service


def check(outcome: Outcome) -> None:
    assert outcome.peak_bytes <= GROWTH, outcome
    assert outcome.seconds_open <= outcome.allowed_seconds + TOLERANCE, outcome
    assert set(outcome.answers) == {"200", "201"}, outcome


async def test_what_comes_too_late_or_never_ends_its_connection(service: Attacked) -> None:
    late = {name: what for name, what in attacks(SHORT, service[1]).items() if what[1] in transport.deadlines(SHORT)}
    names = [name for name in late if "list" not in name and "endless" not in name]
    assert len(names) >= 8
    for outcome in await asyncio.gather(*(suffer(service[0], name, *late[name]) for name in names)):
        check(outcome)


@pytest.mark.parametrize("name", [name for name in attacks(SHORT, "") if "endless" in name or "in one go" in name])
async def test_what_does_not_end_is_refused_and_costs_no_memory(service: Attacked, name: str) -> None:
    check(await suffer(service[0], name, *attacks(SHORT, service[1])[name]))


@pytest.mark.parametrize("name", [name for name in attacks(SHORT, "") if "list" in name and name != DIFFERENT])
async def test_who_reads_nothing_is_cut_off(service: Attacked, name: str) -> None:
    outcome = await suffer(service[0], name, *attacks(SHORT, service[1])[name])
    check(outcome)
    assert '"reason":"too much unsent"' in service[0].server.output
