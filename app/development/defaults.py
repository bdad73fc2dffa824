"""The variables that the embedded database stands in for. Only commands ask for them; their workers inherit them."""

import os
from collections.abc import Mapping
from typing import Final

from app.development import postgres, secret
from app.settings import EMBEDDED_DATABASE_URL, SettingsError, environment

ORIGINS: Final = "http://localhost:3000,http://localhost:5173,http://localhost:8081"
"""Where Next.js, Vite and Expo serve a frontend."""


def complete_environment() -> None:
    """Add to the environment of this process what development needs. Raises SettingsError."""
    os.environ.update(missing(environment()))


def missing(given: Mapping[str, str | None]) -> dict[str, str]:
    """Return what `given` lacks: nothing if it names a database, or else all that goes with the embedded one.

    Raises SettingsError where there is no embedded database.
    """
    named = {name for name, text in given.items() if (text or "").strip()}
    if named & {"DATABASE_URL", "DATABASE_URL_UNPOOLED"}:
        return {}
    if not postgres.available():
        raise SettingsError("DATABASE_URL is not set, and the embedded database of development is not installed.")
    url = postgres.url()
    defaults = {
        "DATABASE_URL": url,
        EMBEDDED_DATABASE_URL: url,
        "CORS_ORIGINS": ORIGINS,
        "LOG_FORMAT": "console",
        "SHUTDOWN_DELAY": "0",
    }
    if named.isdisjoint({"BETTER_AUTH_SECRET", "BETTER_AUTH_SECRETS"}):
        defaults["BETTER_AUTH_SECRET"] = secret.kept()
    return {name: text for name, text in defaults.items() if name not in named}
