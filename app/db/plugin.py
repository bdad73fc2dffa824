"""The `litestar database` commands; sessions per request are left out, for no handler opens one."""

from pathlib import Path
from typing import Final

import click
from advanced_alchemy.cli import add_migration_commands
from advanced_alchemy.extensions.litestar import AlembicAsyncConfig, SQLAlchemyAsyncConfig, SQLAlchemyInitPlugin
from litestar.config.app import AppConfig
from sqlalchemy.ext.asyncio import AsyncEngine

from app.db import migrations
from app.db.base import Base
from app.development import postgres
from app.settings import Settings

MIGRATIONS: Final = Path(__file__).parents[2] / "migrations"


class DatabasePlugin(SQLAlchemyInitPlugin):
    """Advanced Alchemy's commands, without its work on every response."""

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        """Add nothing: no handler opens a session, and the application closes its own database."""
        return app_config

    def on_cli_init(self, cli: click.Group) -> None:
        """Add `litestar database`; Advanced Alchemy's own group looks for its plugin by exact type, so not for us."""

        @cli.group("database")
        @click.pass_context
        def database(context: click.Context) -> None:
            """Manage the schema; without DATABASE_URL, that of the embedded database."""
            settings = Settings.from_env()
            context.obj = {"configs": [sqlalchemy_config(migrations.create_engine(settings))]}
            if settings.development:
                context.with_resource(postgres.running())

        add_migration_commands(database)


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
