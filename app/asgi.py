"""The composition root: what the service is made of, in order. Nothing imports this module."""

import gc
import os
import signal
import threading
from multiprocessing import parent_process
from typing import Any, Final

from litestar import Litestar
from litestar.datastructures import State
from litestar.di import Provide
from litestar.exceptions import HTTPException

from app import health, logs
from app.auth.bearer import BearerToken
from app.auth.tokens import TokenVerifier
from app.cli import Commands
from app.db.database import Database
from app.docs import assets, page
from app.errors import respond
from app.http import openapi
from app.http.body import StrictRequest
from app.http.cross_origin import CrossOrigin
from app.http.outermost import Application
from app.origins import Origins
from app.ratelimit.limiter import RateLimiter
from app.server import Lifecycle
from app.settings import Settings, get_settings
from app.tasks.aliases import own_address
from app.tasks.controller import TaskController
from app.tasks.openapi import spell_priorities, wrap_list
from app.tasks.repository import TaskStore
from app.telemetry.optional import Telemetry
from app.users.controller import UserController
from app.users.openapi import name_priorities
from app.users.repository import UserStore

EXPOSED: Final = ["ETag", "Link", "Location", "RateLimit", "RateLimit-Policy", "Retry-After", "X-Request-Id"]


def create_app(settings: Settings | None = None) -> Litestar:
    """Build the application; without `settings`, from the environment. Raises SettingsError."""
    settings = settings or get_settings()
    telemetry = Telemetry(settings)
    logs.configure(settings, *telemetry.log_processors)
    lifecycle = Lifecycle()
    database = Database(settings, telemetry.observers)
    tasks = TaskStore(
        database,
        priority_names=settings.priority_names,
        cache_bytes=settings.list_cache_bytes,
        compress=settings.compress_lists,
        envelope=settings.list_envelope,
    )
    users = UserStore(database, priority_names=settings.priority_names)
    verifier = TokenVerifier(settings, database)
    limiter = RateLimiter(settings)
    bearer = BearerToken(verifier, limiter)
    app = Application(
        direct=settings.direct_dispatch,
        check=bearer.check,
        own_address=own_address,
        draining=lambda: lifecycle.draining,
        log=logs.access(settings),
        trace=telemetry.begin,
        cross_origin=CrossOrigin(Origins(settings.cors_origins, loopback=settings.development), EXPOSED),
        state=State({"lifecycle": lifecycle}),
        route_handlers=[
            TaskController,
            UserController,
            health.service,
            health.health,
            health.ready,
            page.document,
            assets.asset,
        ],
        dependencies={
            "tasks": Provide(lambda: tasks, use_cache=True, sync_to_thread=False),
            "users": Provide(lambda: users, use_cache=True, sync_to_thread=False),
        },
        middleware=[bearer],
        on_startup=[limiter.open, *telemetry.on_startup],
        on_shutdown=[database.close, limiter.close, *telemetry.on_shutdown, logs.STDOUT.finish],
        exception_handlers={HTTPException: respond, Exception: respond},
        request_class=StrictRequest,
        request_max_body_size=settings.max_body_bytes,
        plugins=[Commands(settings)],
        openapi_config=page.openapi(settings),
        logging_config=None,
        debug=False,
    )
    openapi.finish(app)
    name_priorities(app.openapi_schema, settings.priority_names)
    spell_priorities(app.openapi_schema, settings.priority_names)
    if settings.list_envelope:
        wrap_list(app.openapi_schema, settings.list_envelope)
    return app


def worker() -> Litestar:
    """Build the application in a process that ends with its parent: an orphan would keep the port after `kill -9`."""
    if parent := parent_process():
        threading.Thread(target=_follow, args=(parent,), daemon=True).start()
    settings = get_settings()
    app = create_app(settings)

    async def start() -> None:
        app.state.lifecycle.drain_first(settings.shutdown_delay)
        gc.collect()
        gc.freeze()  # what lives as long as the process: looking at it took 2 % of the time of requests

    app.on_startup.append(start)
    return app


def _follow(parent: Any) -> None:
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)
