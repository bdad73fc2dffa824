"""A task API for Better Auth users on Neon PostgreSQL."""

from litestar import Litestar

__version__ = "0.1.0"


def create_app() -> Litestar:
    """Build the application from the environment; stands here because Litestar's command line looks here first."""
    from app.asgi import create_app as build  # noqa: PLC0415 - importing a part must not import the whole

    return build()
