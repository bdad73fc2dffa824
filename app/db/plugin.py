"""The `litestar database` commands; what they need is imported when one of them is used."""

import click
from litestar.plugins import CLIPlugin

from app.db import migrations
from app.development import postgres
from app.settings import Settings


class Migrations(click.Group):
    """Advanced Alchemy's commands, which are there once somebody looks for one."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name them."""
        self._fill()
        return super().list_commands(ctx)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Find one."""
        self._fill()
        return super().get_command(ctx, cmd_name)

    def _fill(self) -> None:
        if not self.commands:
            from advanced_alchemy.cli import add_migration_commands  # noqa: PLC0415 - see app/db/alchemy.py

            add_migration_commands(self)


class DatabasePlugin(CLIPlugin):
    """Adds `litestar database`; Advanced Alchemy's own group looks for its plugin by exact type."""

    def on_cli_init(self, cli: click.Group) -> None:
        """Register the group."""

        @cli.group("database", cls=Migrations)
        @click.pass_context
        def database(context: click.Context) -> None:
            """Manage the schema; without DATABASE_URL, that of the embedded database."""
            from app.db.alchemy import sqlalchemy_config  # noqa: PLC0415 - see there

            settings = Settings.from_env()
            context.obj = {"configs": [sqlalchemy_config(migrations.create_engine(settings))]}
            if settings.development:
                context.with_resource(postgres.running())
