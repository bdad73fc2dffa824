from datetime import UTC, datetime

from polyfactory import Ignore, Use
from polyfactory.factories.sqlalchemy_factory import SQLAlchemyFactory

from app.models import Task
from app.tasks import rules


class TaskFactory(SQLAlchemyFactory[Task]):
    """Makes rows of the table `tasks`, for a transaction to store; the database gives them their ids."""

    __model__ = Task
    __set_relationships__ = False

    id = Ignore()
    deleted_at = None
    fingerprint = None
    priority = Use(lambda: TaskFactory.__random__.randint(1, len(rules.PRIORITIES)))
    tags = Use(lambda: [TaskFactory.__faker__.word() for _ in range(TaskFactory.__random__.randint(0, rules.TAGS))])

    @classmethod
    def title(cls) -> str:
        """Some of them are not ASCII."""
        return cls.__random__.choice(["é", "ß", "漢"]) + cls.__faker__.sentence()[: rules.TITLE_LENGTH - 1]

    @classmethod
    def uid(cls) -> str | None:
        """Every other one was named by its client."""
        return cls.__faker__.uuid4() if cls.__random__.random() < 1 / 2 else None

    @classmethod
    def created_at(cls) -> datetime:
        """Any moment that a task may have."""
        moment: datetime = cls.__faker__.date_time_between(rules.EARLIEST, rules.LATEST, tzinfo=UTC)
        return moment

    @classmethod
    def updated_at(cls) -> datetime:
        """In no order with the creation, which nothing relies on."""
        return cls.created_at()

    @classmethod
    def due_date(cls) -> datetime | None:
        """Every other one has none."""
        return cls.created_at() if cls.__random__.random() < 1 / 2 else None
