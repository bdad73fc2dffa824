"""The `litestar database` commands; sessions per request are left out, for no handler opens one."""

from pathlib import Path
from typing import Final

from advanced_alchemy.extensions.litestar import AlembicAsyncConfig, SQLAlchemyAsyncConfig, SQLAlchemyInitPlugin
from litestar.config.app import AppConfig
from sqlalchemy.ext.asyncio import AsyncEngine

from app.db.base import Base

MIGRATIONS: Final = Path(__file__).parents[2] / "migrations"


class DatabasePlugin(SQLAlchemyInitPlugin):
    """Advanced Alchemy's commands, without its work on every response."""

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        """Close the pool when the app stops: Advanced Alchemy 1.12 forgets to for all engines of a process but one."""
        app_config.on_shutdown.extend(config.get_engine().dispose for config in self.config)
        return app_config


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
            version_table_name="tasks_version",
        ),
    )
