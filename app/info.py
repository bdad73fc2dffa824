"""What `litestar info` says: how this installation is set up, without anything secret."""

import sys
from collections.abc import Mapping

import click
from litestar import __version__ as litestar

from app.db import url
from app.development import postgres
from app.docs.page import PATH
from app.settings import VERSION, Settings


def command(settings: Settings) -> click.Command:
    """Return the command."""

    @click.command("info")
    def info() -> None:
        """Say how this installation is set up."""
        for name, fact in facts(settings).items():
            click.echo(f"{name:15}{fact}")

    return info


def facts(settings: Settings) -> Mapping[str, str]:
    """Return what there is to know, in the order in which it is told."""
    python = ".".join(map(str, sys.version_info[:3]))
    return {
        "Version": f"{VERSION}, on Litestar {litestar.formatted(short=True)} and Python {python}",
        "Database": _database(settings),
        "Tokens": " and ".join(_tokens(settings)),
        "Browsers": ", ".join(_origins(settings)) or "no other origins",
        "Documentation": f"{PATH}, from /openapi.json",
        "Lists": "packed with zstd or gzip" if settings.compress_lists else "not packed",
        "Dispatch": "direct" if settings.direct_dispatch else "Litestar's",
        "Metrics": f"at {settings.metrics_host}, port {settings.metrics_port}" if settings.metrics_port else "off",
    }


def _database(settings: Settings) -> str:
    if settings.development:
        return f"embedded, in {postgres.FOLDER}/"
    place = url.parse(settings.database_url, connect_timeout=settings.database_connect_timeout).url
    return f"{place.database} on {place.host or 'localhost'}"


def _origins(settings: Settings) -> list[str]:
    return [*(["every port of this machine"] if settings.development else []), *settings.cors_origins]


def _tokens(settings: Settings) -> list[str]:
    accepted = []
    if settings.jwks_source == "database":
        accepted.append("those signed with the keys in Better Auth's table jwks")
    elif settings.keys_url:
        accepted.append(f"those signed with the keys of {settings.keys_url}")
    if settings.secrets:
        accepted.append("HS256 ones of the shared secret")
    return accepted
