"""Advanced Alchemy's configuration, for its migration commands. Workers do without: it brings Alembic along, 13 MiB."""

from pathlib import Path
from typing import Final

from advanced_alchemy.extensions.litestar import AlembicAsyncConfig, SQLAlchemyAsyncConfig
from sqlalchemy.ext.asyncio import AsyncEngine

from app.db import migrations
from app.models import Base

MIGRATIONS: Final = Path(__file__).parents[2] / "migrations"


def sqlalchemy_config(engine: AsyncEngine) -> SQLAlchemyAsyncConfig:
    """Configure Advanced Alchemy for our engine, models and migrations."""
    return SQLAlchemyAsyncConfig(
        engine_instance=engine,
        metadata=Base.metadata,
        set_default_exception_handler=False,
        enable_touch_updated_timestamp_listener=False,
        alembic_config=AlembicAsyncConfig(
            script_location=str(MIGRATIONS),
            render_as_batch=False,
            compare_type=True,
            version_table_name=migrations.VERSION_TABLE,
        ),
    )
