"""After a restore as docs/operations.md describes it, no client that kept what it was told is told anything wrong."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest

from tests.operations.drill import MOMENT, Drill, documented, drill
from tests.operations.scenes import Users, after, before, lost


@pytest.fixture(scope="module")
def standing() -> Iterator[Drill]:
    with drill() as standing:
        yield standing


@pytest.fixture
def users(standing: Drill) -> Iterator[Users]:
    users = Users.of(standing.client)
    yield users
    for user in users:
        user.close()


def lose_time_and_restore_the_dump(standing: Drill, users: Users) -> str:
    """Return the moment of the dump; the service is stopped."""
    before(users)
    standing.run(documented("bash", "pg_dump"))
    moment = datetime.now(UTC).isoformat()
    lost(users)
    standing.stop()
    dump = max(standing.folder.glob("tasks-*.dump"))
    standing.run(documented("bash", "pg_restore --dbname"), DUMP=dump.name)
    standing.run(documented("bash", "litestar database upgrade"))
    return moment


def test_clients_are_told_nothing_wrong_after_a_dump_was_restored(standing: Drill, users: Users) -> None:
    moment = lose_time_and_restore_the_dump(standing, users)
    standing.execute(documented("sql", "UPDATE users"))
    standing.run(documented("bash", "ERASED").replace(MOMENT, moment))
    standing.start()
    for user in (users.erased, users.returned, users.newcomer):
        assert user.look_at_all() == []
    assert len(users.busy.look_at_all()) == 5
    after(users)


@pytest.mark.parametrize("left_out", ["UPDATE users", "SELECT setval"])
def test_each_documented_statement_is_needed(standing: Drill, users: Users, left_out: str) -> None:
    lose_time_and_restore_the_dump(standing, users)
    statements = documented("sql", "UPDATE users").split(";")
    standing.execute(";".join(one for one in statements if left_out not in one))
    standing.start()
    with pytest.raises(AssertionError):
        after(users)
