import sqlalchemy as sa
from advanced_alchemy.repository import SQLAlchemyAsyncRepository

from app.models import User


class UserRepository(SQLAlchemyAsyncRepository[User]):
    """Users within one transaction."""

    model_type = User

    async def erase(self, user_id: str) -> None:
        """Delete the user's row, after the writes under way that hold it; further ones wait."""
        await self.session.execute(sa.delete(User).where(User.id == user_id))
