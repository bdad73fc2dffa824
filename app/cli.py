"""The commands: a `run` that knows this service, tokens and tasks for trying it out, migrations and upkeep."""

import asyncio
import sys
from datetime import timedelta
from typing import Any, Final

import click
from advanced_alchemy.cli import add_migration_commands
from litestar.plugins import CLIPlugin

from app import info, purge, server, slow
from app.auth.caller import Caller, Refused
from app.auth.mint import mint
from app.auth.scopes import MARKS, READ, WRITE
from app.auth.tokens import TokenVerifier
from app.db import migrations
from app.db.database import Database
from app.development import postgres, seed
from app.durations import duration
from app.errors import problem_of
from app.models import Base
from app.settings import Settings

METHODS: Final = {READ: "read (GET, HEAD)", WRITE: "write (every other method)"}
WORKERS: Final = ["LITESTAR_WEB_CONCURRENCY", "WEB_CONCURRENCY"]
FILE: Final = click.Path(exists=True, dir_okay=False)


class CommaSeparated(click.Path):
    """A path or a pattern; a variable holds several, separated by commas, as for Litestar's own `run`."""

    envvar_list_splitter = ","


class Commands(CLIPlugin):
    """Adds our own commands, and replaces `info`, which knows too little, and `run`, which cannot set timeouts."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def on_cli_init(self, cli: click.Group) -> None:
        cli.commands.pop("sessions", None)  # there are none
        _add_run(cli, self._settings)
        _add_token(cli, self._settings)
        _add_database(cli, self._settings)
        cli.add_command(info.command(self._settings))
        cli.add_command(seed.command(self._settings))
        cli.add_command(click.Group("tasks", [purge.command(self._settings)], help="Look after everybody's tasks."))


def _add_run(cli: click.Group, settings: Settings) -> None:
    @cli.command("run", context_settings={"show_default": True})
    @click.option("-H", "--host", default="127.0.0.1", envvar="LITESTAR_HOST")
    @click.option("-p", "--port", type=click.IntRange(1, 65535), default=8000, envvar=["LITESTAR_PORT", "PORT"])
    @click.option("-W", "--wc", "--web-concurrency", "workers", type=click.IntRange(1), default=1, envvar=WORKERS)
    @click.option("-r", "--reload", is_flag=True, envvar="LITESTAR_RELOAD", help="Restart when the code changes.")
    @click.option("-R", "--reload-dir", "reload_dirs", **_several("DIRS"), help="Watch this folder instead of app/.")
    @click.option("-I", "--reload-include", "reload_includes", **_several("INCLUDES"), help="Watch such files, too.")
    @click.option("-E", "--reload-exclude", "reload_excludes", **_several("EXCLUDES"), help="Ignore such files.")
    @click.option("-U", "--uds", "--unix-domain-socket", "uds", envvar="LITESTAR_UNIX_DOMAIN_SOCKET")
    @click.option("-F", "--fd", "--file-descriptor", "fd", type=int, envvar="LITESTAR_FILE_DESCRIPTOR")
    @click.option("--ssl-certfile", type=FILE, envvar="LITESTAR_SSL_CERT_PATH", help="Speak TLS with this certificate.")
    @click.option("--ssl-keyfile", type=FILE, envvar="LITESTAR_SSL_KEY_PATH", help="The certificate's private key.")
    def run(**options: Any) -> None:
        """Serve the API; without DATABASE_URL, on an embedded database."""
        server.run(settings, **options)


def _several(variable: str) -> dict[str, Any]:
    """Return what makes an option one that can be repeated, with the same as a list in Litestar's variable."""
    return {"type": CommaSeparated(), "multiple": True, "envvar": f"LITESTAR_RELOAD_{variable}"}


def _add_token(cli: click.Group, settings: Settings) -> None:
    @cli.group("token", invoke_without_command=True)
    @click.option("--user", metavar="ID", callback=seed.possible_user, help="Better Auth's id of the user.")
    @click.option("--expires", callback=duration(), default="1h", show_default=True)
    @click.pass_context
    def token(context: click.Context, user: str | None, expires: timedelta) -> None:
        """Print a token signed with the configured secret, or check one."""
        if context.invoked_subcommand is not None:
            return
        if user is None:
            raise click.UsageError("Missing option '--user'.")
        click.echo(mint(settings, user, int(expires.total_seconds())))

    @token.command("check")
    @click.argument("text", metavar="TOKEN")
    @click.pass_context
    def check(context: click.Context, text: str) -> None:
        """Say whether TOKEN would be accepted, and if not, why; `-` reads it from standard input."""
        given = sys.stdin.read() if text == "-" else text
        accepted, sentence = asyncio.run(explain(settings, given.strip().removeprefix("Bearer ")))
        click.echo(sentence)
        context.exit(0 if accepted else 1)


def _add_database(cli: click.Group, settings: Settings) -> None:
    @cli.group("database")
    @click.pass_context
    def database(context: click.Context) -> None:
        """Manage the schema; without DATABASE_URL, that of the embedded database."""
        context.obj = {"configs": [migrations.configuration(settings, Base.metadata)]}
        if settings.development:
            context.with_resource(postgres.running())

    add_migration_commands(database)
    database.add_command(slow.command(settings))
    if not settings.development:
        database.commands["drop-all"].callback = _refuse_to_drop
        [revision] = (param for param in database.commands["downgrade"].params if param.name == "revision")
        revision.callback = _refuse_to_go_further_back


def _refuse_to_drop(**_: Any) -> None:
    raise click.ClickException("drop-all deletes everybody's tasks, so it works on the embedded database only.")


def _refuse_to_go_further_back(_context: click.Context, _param: click.Parameter, revision: str) -> str:
    if revision != "-1":
        raise click.ClickException("Only the latest migration can be taken back: run downgrade without a revision.")
    return revision


async def explain(settings: Settings, token: str) -> tuple[bool, str]:
    """Return whether a request with this token would be let in, and a sentence for the operator."""
    database = Database(settings)
    verifier = TokenVerifier(settings, database)
    try:
        caller = await verifier.verify(token)
    except Refused as refusal:
        return False, f"Refused: {refusal.reason}."
    except Exception as error:  # noqa: BLE001 - whatever a request would be answered with
        return False, f"Cannot be decided: {problem_of(error).detail}."
    finally:
        await database.close()
    return _explain_caller(caller)


def _explain_caller(caller: Caller) -> tuple[bool, str]:
    """Return whether any route is open to a caller, and a sentence that says which."""
    if caller.scopes is None:
        return True, f"Accepted: it speaks for the user {caller.id}."
    whose = f"it is an OAuth client's (by its type, or one of {', '.join(MARKS)}), for the user {caller.id},"
    if not caller.scopes:
        return False, f"Refused: {whose} without the scopes {READ} and {WRITE}, so every route answers 403."
    allowed = [methods for scope, methods in METHODS.items() if scope in caller.scopes]
    scopes = " and ".join(sorted(caller.scopes))
    return True, f"Accepted: {whose} with {scopes}, so it may {' and '.join(allowed)}, but never erase the account."
