from typing import Final

from advanced_alchemy.base import CommonTableAttributes
from sqlalchemy import MetaData, Table
from sqlalchemy.orm import DeclarativeBase

CONVENTION: Final = {
    "ix": "%(table_name)s_%(column_0_N_name)s_idx",
    "pk": "%(table_name)s_pkey",
    "ck": "%(table_name)s_%(constraint_name)s_check",
}


class Base(CommonTableAttributes, DeclarativeBase):
    """Base of every model; constraint names follow PostgreSQL's own, so that migrations are reproducible."""

    metadata = MetaData(naming_convention=CONVENTION)


def table_of(model: type[Base]) -> Table:
    """Return the model's table, for statements in SQLAlchemy Core."""
    assert isinstance(model.__table__, Table)  # noqa: S101 - every model of ours maps to one table
    return model.__table__
