"""FastAPI + SQLModel + asyncpg as public backends for Better Auth and Neon write it: a session per request, JWT per
request, response models; select, change, commit, refresh. PEER_PRE_PING=0 leaves out the pool's ping.
"""

import os
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException, Query
from fastapi.middleware.cors import CORSMiddleware
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from tests.load.peers.sqlmodel_tasks import CurrentUser, Task, TaskCreate, TaskRead, TaskUpdate, now

engine = create_async_engine(
    os.environ["DATABASE_URL"].replace("postgresql://", "postgresql+asyncpg://"),
    pool_size=int(os.environ["DATABASE_POOL_SIZE"]),
    max_overflow=0,
    pool_pre_ping=os.environ.get("PEER_PRE_PING") != "0",
)
async_session = async_sessionmaker(engine, class_=AsyncSession, expire_on_commit=False)


async def get_session() -> AsyncIterator[AsyncSession]:
    async with async_session() as session:
        yield session


SessionDep = Annotated[AsyncSession, Depends(get_session)]

app = FastAPI()
app.add_middleware(
    CORSMiddleware,
    allow_origins=["http://localhost:3000"],
    allow_credentials=True,
    allow_methods=["*"],
    allow_headers=["*"],
)


@app.get("/api/{user_id}/tasks", response_model=list[TaskRead])
async def list_tasks(
    user_id: CurrentUser,
    session: SessionDep,
    status: str = "all",
    tag: str | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 1000,
) -> list[Task]:
    query = select(Task).where(Task.user_id == user_id, col(Task.deleted_at).is_(None))
    if status != "all":
        query = query.where(Task.completed == (status == "completed"))
    if tag:
        query = query.where(col(Task.tags).contains([tag]))
    result = await session.exec(query.order_by(col(Task.created_at).desc(), col(Task.id).desc()).limit(limit))
    return list(result.all())


async def find(task_id: int, user_id: str, session: AsyncSession) -> Task:
    result = await session.exec(
        select(Task).where(Task.id == task_id, Task.user_id == user_id, col(Task.deleted_at).is_(None))
    )
    task = result.first()
    if task is None:
        raise HTTPException(status_code=404, detail="Task not found")
    return task


async def save(task: Task, session: AsyncSession) -> Task:
    session.add(task)
    await session.commit()
    await session.refresh(task)
    return task


@app.post("/api/{user_id}/tasks", response_model=TaskRead, status_code=201)
async def create_task(user_id: CurrentUser, data: TaskCreate, session: SessionDep) -> Task:
    return await save(Task(user_id=user_id, **data.model_dump()), session)


@app.get("/api/{user_id}/tasks/{task_id}", response_model=TaskRead)
async def get_task(user_id: CurrentUser, task_id: int, session: SessionDep) -> Task:
    return await find(task_id, user_id, session)


@app.patch("/api/{user_id}/tasks/{task_id}", response_model=TaskRead)
async def update_task(user_id: CurrentUser, task_id: int, data: TaskUpdate, session: SessionDep) -> Task:
    task = await find(task_id, user_id, session)
    task.sqlmodel_update(data.model_dump(exclude_unset=True))
    task.updated_at = now()
    return await save(task, session)


@app.patch("/api/{user_id}/tasks/{task_id}/complete", response_model=TaskRead)
async def toggle_task(user_id: CurrentUser, task_id: int, session: SessionDep) -> Task:
    task = await find(task_id, user_id, session)
    task.completed = not task.completed
    task.updated_at = now()
    return await save(task, session)


@app.delete("/api/{user_id}/tasks/{task_id}", status_code=204)
async def delete_task(user_id: CurrentUser, task_id: int, session: SessionDep) -> None:
    task = await find(task_id, user_id, session)
    task.deleted_at = now()
    session.add(task)
    await session.commit()
