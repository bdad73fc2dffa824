"""Fills an empty, migrated database with the tasks of many users, mixed and oldest first, as they would have come in.

Whom to measure: the probes have equally many tasks in a table of any size, and one user may be big.
"""

from typing import Final

import asyncpg

PROBES: Final = 10
PROBE_TASKS: Final = 200
TASKS_PER_USER: Final = 50
BIG: Final = "B1gB1gB1gB1gB1gB1gB1gB1gB1gB1gB1"
PROBE_IDS: Final = "SELECT md5('probe-' || n) FROM generate_series(0, $1::bigint - 1) AS n"

TASKS: Final = """
INSERT INTO tasks (user_id, title, description, priority, tags, due_date, completed, revision,
                   created_at, updated_at, deleted_at)
SELECT CASE
         WHEN n % $5::bigint = 0 THEN md5('probe-' || n / $5::bigint % $4::bigint)
         WHEN $3::bigint > 0 AND n % ($1::bigint / greatest($3::bigint, 1)) = 1 THEN $6::text
         ELSE md5('user-' || floor(power((hashint8extended(n, 1) & 2147483647) / 2147483648.0, 1.5) * $2::bigint))
       END,
       (ARRAY['Buy', 'Call', 'Read', 'Write', 'Fix', 'Send', 'Plan', 'Book'])[1 + (bits & 7)]
         || ' ' || (ARRAY['milk', 'the dentist', 'the report', 'a letter', 'the roof', 'flowers', 'tickets',
                          'the invoice'])[1 + (bits >> 3 & 7)]
         || ' ' || (bits >> 6 & 1023),
       CASE WHEN (bits >> 16 & 7) < 3 THEN repeat('One more line of notes. ', 1 + (bits >> 19 & 7)::int) END,
       (ARRAY[1, 2, 2, 3])[1 + (bits >> 22 & 3)],
       (ARRAY['home', 'work', 'garden', 'money', 'health', 'car', 'school', 'books'])
         [1 + (bits >> 24 & 7) : (bits >> 27 & 7)],
       CASE WHEN (bits >> 30 & 7) < 5 THEN moment + (bits >> 33 & 63) * interval '1 day' END,
       (bits >> 39 & 7) < 5,
       (extract(epoch FROM moment) * 1000000)::bigint,
       moment,
       moment,
       CASE WHEN (bits >> 42 & 31) < 3 THEN moment + interval '1 day' END
FROM generate_series(1, $1::bigint) AS n,
     LATERAL (SELECT timestamptz '2025-01-01' + interval '500 days' * (n::float8 / $1::bigint)) AS at(moment),
     LATERAL (SELECT hashint8extended(CASE n % $5::bigint WHEN 0 THEN n / $5::bigint ELSE -n END, 0)) AS chance(bits)
"""
"""$1 tasks of $2 users, $3 of them the big one's ($6), every $5th one of $4 probes'."""

USERS: Final = """
INSERT INTO users (id, revision, floor, tasks, created_at)
SELECT user_id, max(revision), 0, count(*), min(created_at) FROM tasks GROUP BY user_id
"""


async def seed(connection: asyncpg.Connection, *, tasks: int, big: int = 0) -> None:
    """Insert `tasks` tasks, one in eleven of them deleted, `big` of them the big user's; the same ones at every call.

    The indexes are built after the rows, which takes a fraction of the time.
    """
    indexes = await connection.fetch(
        "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'tasks' AND indexname <> 'tasks_pkey'"
    )
    every = tasks // (PROBES * PROBE_TASKS)
    await connection.execute("ALTER TABLE tasks DROP CONSTRAINT tasks_pkey")
    for index in indexes:
        await connection.execute(f'DROP INDEX "{index["indexname"]}"')
    await connection.execute(TASKS, tasks, tasks // TASKS_PER_USER, big, PROBES, every, BIG, timeout=600)
    await connection.execute("SET maintenance_work_mem = '256MB'")
    await connection.execute("ALTER TABLE tasks ADD CONSTRAINT tasks_pkey PRIMARY KEY (user_id, id)", timeout=600)
    for index in indexes:
        await connection.execute(index["indexdef"], timeout=600)
    await connection.execute(USERS, timeout=600)
    await connection.execute("VACUUM (ANALYZE) tasks", timeout=600)
    await connection.execute("VACUUM (ANALYZE) users", timeout=600)


async def probe_ids(connection: asyncpg.Connection) -> list[str]:
    """Return the ids of the probes."""
    return [row[0] for row in await connection.fetch(PROBE_IDS, PROBES)]
