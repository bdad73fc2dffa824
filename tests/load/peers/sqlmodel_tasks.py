"""What both FastAPI peers share: the table, the schemas and the caller, one SQLModel and one dependency each."""

import os
from datetime import UTC, datetime
from typing import Annotated, Any

import jwt
from fastapi import Depends, HTTPException
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from sqlalchemy import BigInteger, Column, DateTime, Identity, SmallInteger, Text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlmodel import Field, SQLModel

bearer = HTTPBearer()


def now() -> datetime:
    return datetime.now(UTC)


class Task(SQLModel, table=True):
    __tablename__ = "tasks"

    user_id: str = Field(primary_key=True)
    id: int | None = Field(default=None, sa_column=Column(BigInteger, Identity(always=True), primary_key=True))
    uid: str | None = None
    title: str
    description: str | None = None
    priority: int = Field(default=2, sa_type=SmallInteger)
    tags: list[str] = Field(default_factory=list, sa_column=Column(ARRAY(Text)))
    due_date: datetime | None = Field(default=None, sa_type=DateTime(timezone=True))
    completed: bool = False
    revision: int = Field(default=0, sa_type=BigInteger)
    created_at: datetime = Field(default_factory=now, sa_type=DateTime(timezone=True))
    updated_at: datetime = Field(default_factory=now, sa_type=DateTime(timezone=True))
    deleted_at: datetime | None = Field(default=None, sa_type=DateTime(timezone=True))


class TaskRead(SQLModel):
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


class TaskCreate(SQLModel):
    title: str = Field(min_length=1, max_length=200)
    description: str | None = Field(default=None, max_length=1000)
    priority: int = Field(default=2, ge=1, le=3)
    tags: list[str] = []
    due_date: datetime | None = None


class TaskUpdate(SQLModel):
    title: str | None = Field(default=None, min_length=1, max_length=200)
    description: str | None = Field(default=None, max_length=1000)
    priority: int | None = Field(default=None, ge=1, le=3)
    tags: list[str] | None = None
    due_date: datetime | None = None
    completed: bool | None = None


def get_current_user(user_id: str, credentials: Annotated[HTTPAuthorizationCredentials, Depends(bearer)]) -> str:
    try:
        payload: dict[str, Any] = jwt.decode(
            credentials.credentials, os.environ["BETTER_AUTH_SECRET"], algorithms=["HS256"]
        )
    except jwt.PyJWTError:
        raise HTTPException(status_code=401, detail="Invalid token") from None
    if payload["sub"] != user_id:
        raise HTTPException(status_code=403, detail="Access denied")
    return user_id


CurrentUser = Annotated[str, Depends(get_current_user)]
