"""Litestar + Advanced Alchemy as their documentation writes it: the plugin with its autocommit, a service with its
repository, schemas by `to_schema` (of msgspec, the fastest it takes), and Litestar's own JWT authentication.
"""

import os
from datetime import UTC, datetime
from typing import Annotated, Any

from advanced_alchemy.extensions.litestar import (
    AsyncSessionConfig,
    EngineConfig,
    SQLAlchemyAsyncConfig,
    SQLAlchemyPlugin,
    base,
    filters,
    providers,
    repository,
    service,
)
from litestar import Controller, Litestar, delete, get, patch, post
from litestar.connection import ASGIConnection
from litestar.di import NamedDependency
from litestar.exceptions import PermissionDeniedException
from litestar.handlers import BaseRouteHandler
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from litestar.security.jwt import JWTAuth, Token
from msgspec import UNSET, Meta, Struct, UnsetType
from sqlalchemy import BigInteger, DateTime, Identity, SmallInteger, Text, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column


def now() -> datetime:
    return datetime.now(UTC)


class TaskModel(base.DefaultBase):
    __tablename__ = "tasks"

    user_id: Mapped[str] = mapped_column(Text, primary_key=True)
    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    uid: Mapped[str | None] = mapped_column(Text)
    title: Mapped[str]
    description: Mapped[str | None]
    priority: Mapped[int] = mapped_column(SmallInteger, default=2)
    tags: Mapped[list[str]] = mapped_column(ARRAY(Text), default=list)
    due_date: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    completed: Mapped[bool] = mapped_column(default=False)
    revision: Mapped[int] = mapped_column(BigInteger, default=0)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), default=now)
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), default=now, onupdate=now)
    deleted_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


Title = Annotated[str, Meta(min_length=1, max_length=200)]
Description = Annotated[str, Meta(max_length=1000)]


class Task(Struct):
    id: int
    uid: str | None
    user_id: str
    title: str
    description: str | None
    priority: int
    tags: list[str]
    due_date: datetime | None
    completed: bool
    created_at: datetime
    updated_at: datetime
    revision: int


class TaskCreate(Struct):
    title: Title
    description: Description | None = None
    priority: int = 2
    tags: list[str] = []
    due_date: datetime | None = None


class TaskUpdate(Struct):
    title: Title | UnsetType = UNSET
    description: Description | UnsetType | None = UNSET
    priority: int | UnsetType = UNSET
    tags: list[str] | UnsetType = UNSET
    due_date: datetime | UnsetType | None = UNSET
    completed: bool | UnsetType = UNSET


class TaskService(service.SQLAlchemyAsyncRepositoryService[TaskModel]):
    class Repo(repository.SQLAlchemyAsyncRepository[TaskModel]):
        model_type = TaskModel

    repository_type = Repo


Tasks = NamedDependency[TaskService]


def own_tasks(connection: ASGIConnection[Any, str, Token, Any], _: BaseRouteHandler) -> None:
    if connection.path_params["user_id"] != connection.user:
        raise PermissionDeniedException


class TaskController(Controller):
    path = "/api/{user_id:str}/tasks"
    guards = [own_tasks]  # noqa: RUF012 - Litestar reads it from the class
    dependencies = providers.create_service_dependencies(
        TaskService,
        "tasks",
        statement=select(TaskModel).where(TaskModel.deleted_at.is_(None)),  # type: ignore[arg-type]  # its declared type fits no model
    )

    @get()
    async def list_tasks(
        self,
        user_id: FromPath[str],
        tasks: Tasks,
        status: FromQuery[str] = "all",
        tag: FromQuery[str | None] = None,
        limit: Annotated[int, QueryParameter(ge=1, le=1000)] = 1000,
    ) -> list[Task]:
        wanted: list[Any] = [TaskModel.user_id == user_id]
        if status != "all":
            wanted.append(TaskModel.completed == (status == "completed"))
        if tag:
            wanted.append(TaskModel.tags.contains([tag]))
        found = await tasks.get_many(
            *wanted,
            filters.LimitOffset(limit, 0),
            order_by=[(TaskModel.created_at, True), (TaskModel.id, True)],
        )
        return list(tasks.to_schema(found, schema_type=Task).items)

    @post()
    async def create_task(self, user_id: FromPath[str], tasks: Tasks, data: JSONBody[TaskCreate]) -> Task:
        task = await tasks.create(
            {**{name: getattr(data, name) for name in data.__struct_fields__}, "user_id": user_id}
        )
        return tasks.to_schema(task, schema_type=Task)

    @get("/{task_id:int}")
    async def get_task(self, user_id: FromPath[str], task_id: FromPath[int], tasks: Tasks) -> Task:
        return tasks.to_schema(await tasks.get((user_id, task_id)), schema_type=Task)

    @patch("/{task_id:int}")
    async def update_task(
        self, user_id: FromPath[str], task_id: FromPath[int], tasks: Tasks, data: JSONBody[TaskUpdate]
    ) -> Task:
        task = await tasks.update(data, item_id=(user_id, task_id))
        return tasks.to_schema(task, schema_type=Task)

    @patch("/{task_id:int}/complete")
    async def toggle_task(self, user_id: FromPath[str], task_id: FromPath[int], tasks: Tasks) -> Task:
        task = await tasks.get((user_id, task_id))
        task = await tasks.update({"completed": not task.completed}, item_id=(user_id, task_id))
        return tasks.to_schema(task, schema_type=Task)

    @delete("/{task_id:int}")
    async def delete_task(self, user_id: FromPath[str], task_id: FromPath[int], tasks: Tasks) -> None:
        task = await tasks.get((user_id, task_id))
        task.deleted_at = now()  # the plugin's autocommit writes it


async def retrieve_user(token: Token, _: ASGIConnection[Any, Any, Any, Any]) -> str:
    return token.sub


alchemy = SQLAlchemyAsyncConfig(
    connection_string=os.environ["DATABASE_URL"].replace("postgresql://", "postgresql+asyncpg://"),
    before_send_handler="autocommit",
    session_config=AsyncSessionConfig(expire_on_commit=False),
    engine_config=EngineConfig(pool_size=int(os.environ["DATABASE_POOL_SIZE"]), max_overflow=0),
)
jwt_auth = JWTAuth[str](
    retrieve_user_handler=retrieve_user, token_secret=os.environ["BETTER_AUTH_SECRET"], exclude=["/schema"]
)
app = Litestar(
    route_handlers=[TaskController], plugins=[SQLAlchemyPlugin(config=alchemy)], on_app_init=[jwt_auth.on_app_init]
)
