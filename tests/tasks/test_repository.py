from dataclasses import replace

import httpx
import msgspec

from app.db.database import Database
from app.models import User
from app.settings import Settings
from app.tasks.repository import TaskRepository
from app.tasks.rules import PRIORITIES
from app.tasks.schemas import Task
from tests.tasks.factories import TaskFactory


async def test_what_the_repository_stores_in_a_transaction_the_routes_serve(
    client: httpx.AsyncClient, settings: Settings, user_id: str
) -> None:
    database = Database(replace(settings, database_pool_size=1))
    rows = [TaskFactory.build(user_id=user_id, revision=number) for number in range(1, 61)]
    async with database.transaction() as session:
        session.add(User(id=user_id, revision=len(rows)))
        stored = {row.id: row for row in await TaskRepository(session=session).add_many(rows)}
    await database.close()
    served = msgspec.json.decode((await client.get("/api/me/tasks")).content, type=list[Task])
    assert {task.id for task in served} == stored.keys()
    for task in served:
        row = stored[task.id]
        assert task == Task(
            id=row.id,
            uid=row.uid or str(row.id),
            user_id=user_id,
            title=row.title,
            description=row.description,
            priority=PRIORITIES[row.priority - 1],
            tags=row.tags,
            due_date=row.due_date,
            completed=row.completed,
            created_at=row.created_at,
            updated_at=row.updated_at,
            revision=row.revision,
        )
