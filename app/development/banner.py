"""What a person at the terminal is told when development starts; on purpose it is not in the log."""

from app.auth.mint import mint
from app.development import postgres
from app.docs import DEVELOPMENT_USER, TOKEN_SECONDS
from app.settings import Settings


def show(settings: Settings, address: str) -> None:
    """Print how to use what is served at `address`."""
    token = mint(settings, DEVELOPMENT_USER, TOKEN_SECONDS)
    print(  # noqa: T201 - see above
        f"\n  Documentation  {address}/docs  (you are signed in there as {DEVELOPMENT_USER})"
        f"\n  Token, 24 h    {token}"
        f"\n  Try it         curl -H 'Authorization: Bearer {token}' {address}/api/me/tasks"
        f"\n  Data           {postgres.FOLDER}/ (delete the folder to start afresh)\n",
        flush=True,
    )
