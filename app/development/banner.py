"""What `litestar run` prints in development. It is printed and not logged, because of the token."""

from app.auth.mint import mint
from app.development import postgres
from app.docs.page import DEVELOPMENT_USER, TOKEN_SECONDS
from app.settings import Settings


def greet(settings: Settings, host: str, port: int, *, scheme: str) -> None:
    """Tell the person at the terminal how to use what is served."""
    reachable = {"0.0.0.0": "127.0.0.1", "::": "127.0.0.1"}.get(host, host)  # noqa: S104 - a comparison
    address = f"{scheme}://[{reachable}]:{port}" if ":" in reachable else f"{scheme}://{reachable}:{port}"
    token = mint(settings, DEVELOPMENT_USER, TOKEN_SECONDS)
    print(  # noqa: T201 - see above
        f"\n  Documentation  {address}/docs  (you are signed in there as {DEVELOPMENT_USER})"
        f"\n  Token, 24 h    {token}"
        f"\n  Try it         curl -H 'Authorization: Bearer {token}' {address}/api/me/tasks"
        f'\n  Database       psql "{settings.database_url}"'
        f"\n  Data           {postgres.FOLDER}/ (delete the folder to start afresh)\n",
        flush=True,
    )
