"""After a restore as docs/operations.md describes it, no client that kept what it was told is told anything wrong."""

import re
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from sqlalchemy import BigInteger

from app.models import USERS
from tests.operations.drill import MOMENT, Drill, documented, drill
from tests.operations.scenes import Users, after, before, lost
from tests.processes import until


@pytest.fixture(scope="module")
def standing() -> Iterator[Drill]:
    if shutil.which("jq") is None:
        pytest.skip("the page reads the log with jq, which is not installed")
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


def test_documented_statement_lifts_every_number_that_a_client_of_the_user_may_hold() -> None:
    numbers = [column.name for column in USERS.c if isinstance(column.type, BigInteger)]
    [update] = [one for one in documented("sql", "UPDATE users").split(";") if "UPDATE users" in one]
    assert [name for name in numbers if not re.search(rf"\b{name} = greatest\(revision, ", update)] == []


@pytest.mark.parametrize(
    "left_out", [r"UPDATE users[^;]*;", r"SELECT setval[^;]*;", r",\s*floor = [^;]*"], ids=["revision", "ids", "floor"]
)
def test_each_documented_statement_is_needed(standing: Drill, users: Users, left_out: str) -> None:
    lose_time_and_restore_the_dump(standing, users)
    rest, number = re.subn(left_out, "", documented("sql", "UPDATE users"))
    assert number == 1
    standing.execute(rest)
    standing.start()
    with pytest.raises(AssertionError):
        after(users)


def test_clients_are_told_nothing_wrong_after_recovery_to_a_point_in_time(standing: Drill, users: Users) -> None:
    archive, base = (standing.folder.parent / name for name in ("archive", "base"))
    archive.mkdir()
    standing.own(archive)
    standing.configure("postgresql.conf", documented("ini", "archive_command").replace("/mnt/archive", str(archive)))
    standing.control("restart")
    take = documented("bash", "pg_basebackup").replace("/mnt/base/today", str(base))
    standing.run(take, REPLICATION_URL=standing.settings.database_url)
    before(users)
    moment = standing.execute("SELECT now()::text")
    lost(users)

    standing.stop()
    standing.control("stop")
    destroyed = standing.data.rename(standing.data.with_name("destroyed"))
    base.rename(standing.data)
    shutil.copy(destroyed / "postmaster.opts", standing.data)  # how the embedded server is started
    (standing.data / ".s.PGSQL.5432.lock").unlink(missing_ok=True)  # it has its socket among the data
    lines = documented("ini", "restore_command").replace("/mnt/archive", str(archive))
    standing.configure("postgresql.auto.conf", re.sub("2026-11-25 03:10:00.00", moment, lines))
    (standing.data / "recovery.signal").touch()
    standing.own(standing.data)
    standing.control("restart")
    until(lambda: standing.execute("SELECT pg_is_in_recovery()") is False)

    standing.execute(documented("sql", "UPDATE users"))
    standing.run(documented("bash", "ERASED").replace(MOMENT, moment.replace(" ", "T")))
    standing.start()
    assert users.newcomer.look_at_all() == []
    assert len(users.busy.look_at_all()) == 5
    after(users)
