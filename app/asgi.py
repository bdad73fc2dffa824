"""The composition root: what the service is made of, in order. Nothing imports this module."""

from typing import Final

from litestar import Litestar
from litestar.config.cors import CORSConfig
from litestar.di import Provide
from litestar.exceptions import HTTPException
from litestar.routes import HTTPRoute

from app import docs, health, logs
from app.auth.middleware import BearerToken
from app.auth.tokens import TokenVerifier
from app.cli import Commands
from app.db.database import Database
from app.errors import respond
from app.http.body import StrictRequest
from app.http.edge import Edge
from app.settings import Settings, get_settings
from app.tasks.controller import TaskController
from app.tasks.repository import TaskRepository
from app.users.controller import UserController
from app.users.repository import UserRepository

EXPOSED: Final = ["ETag", "Link", "Location", "Retry-After", "X-Request-Id"]


def create_app(settings: Settings | None = None) -> Litestar:
    """Build the application; without `settings`, from the environment. Raises SettingsError."""
    settings = settings or get_settings()
    logs.configure(settings)
    database = Database(settings)
    tasks = TaskRepository(database, priority_case=settings.priority_case, cache_bytes=settings.list_cache_bytes)
    users = UserRepository(database, tasks, priority_case=settings.priority_case)
    verifier = TokenVerifier(settings, database)
    app = Litestar(
        route_handlers=[
            TaskController,
            UserController,
            health.service,
            health.health,
            health.ready,
            docs.document,
            docs.assets(),
        ],
        dependencies={
            "tasks": Provide(lambda: tasks, use_cache=True, sync_to_thread=False),
            "users": Provide(lambda: users, use_cache=True, sync_to_thread=False),
        },
        middleware=[BearerToken(verifier)],
        on_shutdown=[verifier.close, database.close],
        exception_handlers={HTTPException: respond, Exception: respond},
        request_class=StrictRequest,
        request_max_body_size=settings.max_body_bytes,
        plugins=[Commands(settings)],
        openapi_config=docs.openapi(settings),
        cors_config=_cors(settings),
        logging_config=None,
        debug=False,
    )
    methods = {
        route.path_format: route.route_handler_map.keys() for route in app.routes if isinstance(route, HTTPRoute)
    }
    app.asgi_handler = Edge(app.asgi_handler, methods, logs.access(settings))
    return app


def _cors(settings: Settings) -> CORSConfig | None:
    if not settings.cors_origins:
        return None
    return CORSConfig(
        allow_origins=list(settings.cors_origins),
        allow_credentials="*" not in settings.cors_origins,
        expose_headers=EXPOSED,
    )
