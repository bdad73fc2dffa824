"""FastAPI + SQLModel + psycopg 3 with sync handlers, which run in a pool of threads; otherwise like fastapi_async."""

import os
from collections.abc import Iterator
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException, Query
from fastapi.middleware.cors import CORSMiddleware
from sqlmodel import Session, col, create_engine, select

from tests.load.peers.sqlmodel_tasks import CurrentUser, Task, TaskCreate, TaskRead, TaskUpdate, now

engine = create_engine(
    os.environ["DATABASE_URL"].replace("postgresql://", "postgresql+psycopg://"),
    pool_size=int(os.environ["DATABASE_POOL_SIZE"]),
    max_overflow=0,
    pool_pre_ping=True,
)


def get_session() -> Iterator[Session]:
    with Session(engine) as session:
        yield session


SessionDep = Annotated[Session, Depends(get_session)]

app = FastAPI()
app.add_middleware(
    CORSMiddleware,
    allow_origins=["http://localhost:3000"],
    allow_credentials=True,
    allow_methods=["*"],
    allow_headers=["*"],
)


@app.get("/api/{user_id}/tasks", response_model=list[TaskRead])
def list_tasks(
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
    result = session.exec(query.order_by(col(Task.created_at).desc(), col(Task.id).desc()).limit(limit))
    return list(result.all())


def find(task_id: int, user_id: str, session: Session) -> Task:
    result = session.exec(
        select(Task).where(Task.id == task_id, Task.user_id == user_id, col(Task.deleted_at).is_(None))
    )
    task = result.first()
    if task is None:
        raise HTTPException(status_code=404, detail="Task not found")
    return task


def save(task: Task, session: Session) -> Task:
    session.add(task)
    session.commit()
    session.refresh(task)
    return task


@app.post("/api/{user_id}/tasks", response_model=TaskRead, status_code=201)
def create_task(user_id: CurrentUser, data: TaskCreate, session: SessionDep) -> Task:
    return save(Task(user_id=user_id, **data.model_dump()), session)


@app.get("/api/{user_id}/tasks/{task_id}", response_model=TaskRead)
def get_task(user_id: CurrentUser, task_id: int, session: SessionDep) -> Task:
    return find(task_id, user_id, session)


@app.patch("/api/{user_id}/tasks/{task_id}", response_model=TaskRead)
def update_task(user_id: CurrentUser, task_id: int, data: TaskUpdate, session: SessionDep) -> Task:
    task = find(task_id, user_id, session)
    task.sqlmodel_update(data.model_dump(exclude_unset=True))
    task.updated_at = now()
    return save(task, session)


@app.patch("/api/{user_id}/tasks/{task_id}/complete", response_model=TaskRead)
def toggle_task(user_id: CurrentUser, task_id: int, session: SessionDep) -> Task:
    task = find(task_id, user_id, session)
    task.completed = not task.completed
    task.updated_at = now()
    return save(task, session)


@app.delete("/api/{user_id}/tasks/{task_id}", status_code=204)
def delete_task(user_id: CurrentUser, task_id: int, session: SessionDep) -> None:
    task = find(task_id, user_id, session)
    task.deleted_at = now()
    session.add(task)
    session.commit()
