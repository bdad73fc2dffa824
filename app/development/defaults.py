"""The variables that the embedded database stands in for. Only commands ask for them; their workers inherit them."""

import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile

from app.development import postgres
from app.settings import EMBEDDED_DATABASE_URL, SettingsError, environment


def complete_environment() -> None:
    """Add to the environment of this process what development needs. Raises SettingsError."""
    os.environ.update(missing(environment()))


def missing(given: Mapping[str, str | None]) -> dict[str, str]:
    """Return what goes with the embedded database and `given` lacks, if it names no other. Raises SettingsError."""
    named = {name for name, text in given.items() if (text or "").strip()}
    if named & {"DATABASE_URL", "DATABASE_URL_UNPOOLED"}:
        return {}
    if not postgres.available():
        raise SettingsError("DATABASE_URL is not set, and the embedded database of development is not installed.")
    url = postgres.url()
    defaults = {
        "DATABASE_URL": url,
        EMBEDDED_DATABASE_URL: url,
        "LOG_FORMAT": "console",
        "RATE_LIMIT": "off",
        "RATE_LIMIT_WRITES": "off",
        "RATE_LIMIT_FAILED_AUTH": "off",
        "SHUTDOWN_DELAY": "0",
    }
    if named.isdisjoint({"BETTER_AUTH_SECRET", "BETTER_AUTH_SECRETS"}):
        defaults["BETTER_AUTH_SECRET"] = kept_secret(postgres.FOLDER / "secret")
    return {name: text for name, text in defaults.items() if name not in named}


def kept_secret(file: Path) -> str:
    """Return the secret in `file`, 43 characters of base64url; it is drawn once, so that tokens survive a restart."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile("w", dir=file.parent) as drawn:  # mode 600
            drawn.write(secrets.token_urlsafe(32))
            drawn.flush()
            with suppress(FileExistsError):  # a whole secret or none, whoever else starts right now
                os.link(drawn.name, file)
    return file.read_text()
