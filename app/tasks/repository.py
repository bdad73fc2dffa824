import sqlalchemy as sa
from advanced_alchemy.repository import SQLAlchemyAsyncRepository

from app.models import Task


class TaskRepository(SQLAlchemyAsyncRepository[Task]):
    """Tasks within one transaction; what is inherited is confined to a user by its filters only."""

    model_type = Task

    async def erase(self, user_id: str) -> None:
        """Delete every task of the user, tombstones too.

        The inherited `delete_where` would read them all first, and fail where their number changes in between.
        """
        await self.session.execute(sa.delete(Task).where(Task.user_id == user_id))
