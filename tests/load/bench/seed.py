"""The same data for every contender: users who are only read, users who are written to, and 2,000 for the mix.

Every user starts with exactly 50 tasks; those of the writers are put back before each measurement.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import asyncpg

from app.auth.mint import mint
from app.settings import Settings

TASKS_PER_USER: Final = 50
READERS: Final = 100
WRITERS: Final = 100
MIXED: Final = 2000
PREFIXES: Final = {"reader": READERS, "writer": WRITERS, "mixed": MIXED}
TOKEN_SECONDS: Final = 24 * 3600
REVISION: Final = 1_795_000_000_000_000
"""Of each user; the tasks have those below, the newest one the next."""

USERS: Final = f"""
INSERT INTO users (id, revision, floor)
SELECT $1 || number, {REVISION}, 0 FROM generate_series(0, $2::int - 1) number
"""
TASKS: Final = f"""
INSERT INTO tasks
  (user_id, id, uid, title, description, priority, tags, due_date, completed, revision, created_at, updated_at)
OVERRIDING SYSTEM VALUE
SELECT $1 || number,
       $3::bigint + number * $4::int + place,
       'task-' || $3::bigint + number * $4::int + place,
       'Task ' || place || ' of ' || $1 || number,
       'What has to be thought of before task ' || place || ' can be called done',
       1 + place % 3,
       CASE WHEN place % 2 = 0 THEN ARRAY['home'] ELSE ARRAY['work', 'urgent'] END,
       CASE WHEN place % 4 = 0 THEN timestamptz '2027-01-01' + place * interval '1 hour' END,
       place % 5 = 0,
       {REVISION} - place,
       timestamptz '2026-11-01' + (number * 50 + place) * interval '1 second',
       timestamptz '2026-11-01' + (number * 50 + place) * interval '1 second'
FROM generate_series(0, $2::int - 1) number, generate_series(1, $4::int) place
"""
FIRST_IDS: Final = {"reader": 1_000_000, "writer": 2_000_000, "mixed": 3_000_000}
FIRST_FREE_ID: Final = 100_000_000


@dataclass(frozen=True)
class User:
    """A seeded user: its id, its token and the ids of its tasks."""

    id: str
    token: str = field(repr=False)
    task_ids: range

    @property
    def path(self) -> str:
        return f"/api/{self.id}/tasks"


def users(group: str, settings: Settings) -> list[User]:
    """Return the users of a group, with tokens that outlive the benchmark."""

    def made() -> Iterator[User]:
        for number in range(PREFIXES[group]):
            first = FIRST_IDS[group] + number * TASKS_PER_USER + 1
            user_id = f"{group}{number}"
            yield User(user_id, mint(settings, user_id, TOKEN_SECONDS), range(first, first + TASKS_PER_USER))

    return list(made())


async def fill(connection: asyncpg.Connection) -> None:
    """Insert all users and tasks into the empty tables."""
    for group, count in PREFIXES.items():
        await connection.execute(USERS, group, count)
        await connection.execute(TASKS, group, count, FIRST_IDS[group], TASKS_PER_USER)
    await connection.execute(f"ALTER TABLE tasks ALTER COLUMN id RESTART WITH {FIRST_FREE_ID}")
    await tidy(connection)


async def tidy(connection: asyncpg.Connection) -> None:
    """Leave no work of the past to whoever is measured next."""
    await connection.execute("VACUUM ANALYZE")
    await connection.execute("CHECKPOINT")


async def restore_writers(connection: asyncpg.Connection) -> None:
    """Put the writers' tasks back as they were."""
    await connection.execute("DELETE FROM tasks WHERE user_id >= 'writer' AND user_id < 'writes'")
    await connection.execute(TASKS, "writer", WRITERS, FIRST_IDS["writer"], TASKS_PER_USER)
    await connection.execute("UPDATE users SET revision = revision + 1 WHERE id >= 'writer' AND id < 'writes'")
    await connection.execute("VACUUM tasks, users")
