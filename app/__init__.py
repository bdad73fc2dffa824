"""A task API for Better Auth users on Neon PostgreSQL."""

from litestar import Litestar


def create_app() -> Litestar:
    """Build the application for Litestar's command line, which looks here first."""
    from app.asgi import create_app as build  # noqa: PLC0415 - importing a part must not import the whole
    from app.development.defaults import complete_environment  # noqa: PLC0415 - the same

    complete_environment()
    return build()
