"""The composition root: what the service is made of, in order. Nothing imports this module."""

import gc
import os
import signal
import threading
from multiprocessing import parent_process
from typing import Any, Final

from litestar import Litestar, Router
from litestar.datastructures import State
from litestar.di import Provide
from litestar.exceptions import HTTPException

from app import health, logs
from app.auth.bearer import BearerToken
from app.auth.tokens import TokenVerifier
from app.cli import Commands
from app.db.database import Database
from app.db.observation import Observer
from app.db.slow_log import SlowLog
from app.docs import assets, page
from app.errors import codes, respond
from app.events.controller import EventsController
from app.events.hub import Hub
from app.events.polling import Poller
from app.http import openapi
from app.http.body import StrictRequest
from app.http.cross_origin import CrossOrigin
from app.http.outermost import Application
from app.metrics import families
from app.metrics.worker import WorkerMetrics
from app.origins import Origins
from app.ratelimit.limiter import RateLimiter
from app.server import Lifecycle
from app.settings import Settings, get_settings
from app.tasks.aliases import own_address
from app.tasks.batch.controller import BatchController
from app.tasks.batch.openapi import describe_operations
from app.tasks.batch.repository import BatchStore
from app.tasks.changes.controller import ChangesController
from app.tasks.changes.feed import ChangeFeed
from app.tasks.controller import TaskController
from app.tasks.openapi import spell_priorities, wrap_list
from app.tasks.repository import TaskStore
from app.telemetry.optional import Telemetry
from app.users.controller import UserController
from app.users.openapi import name_priorities
from app.users.repository import UserStore

EXPOSED: Final = [
    *("ETag", "Idempotent-Replayed", "Link", "Location", "RateLimit", "RateLimit-Policy", "Retry-After"),
    "X-Request-Id",
]


def create_app(settings: Settings | None = None) -> Litestar:
    """Build the application; without `settings`, from the environment. Raises SettingsError."""
    settings = settings or get_settings()
    telemetry = Telemetry(settings)
    logs.configure(settings, *telemetry.log_processors)
    log = logs.access(settings)
    lifecycle = Lifecycle()
    metrics = _metrics(settings)
    observers = [*_observers(settings, metrics), *telemetry.observers]
    database = Database(settings, observers)
    hub = Hub(settings)
    poller = Poller(database, hub)
    tasks = TaskStore(
        database,
        moved=hub.moved,
        priority_names=settings.priority_names,
        cache_bytes=settings.list_cache_bytes,
        compress=settings.compress_lists,
        envelope=settings.list_envelope,
    )
    changes = ChangeFeed(database, priority_names=settings.priority_names, compress=settings.compress_lists)
    batches = BatchStore(database, priority_names=settings.priority_names, moved=hub.moved)
    users = UserStore(database, priority_names=settings.priority_names, erased=hub.erased)
    verifier = TokenVerifier(settings, database)
    limiter = RateLimiter(settings)
    bearer = BearerToken(verifier, limiter)
    app = Application(
        direct=settings.direct_dispatch,
        check=bearer.check,
        own_address=own_address,
        draining=lambda: lifecycle.draining,
        log=metrics.counting(log) if metrics else log,
        told_apart=bool(observers),
        trace=telemetry.begin,
        cross_origin=CrossOrigin(Origins(settings.cors_origins, loopback=settings.development), EXPOSED),
        state=State({"lifecycle": lifecycle}),
        route_handlers=[
            TaskController,
            ChangesController,
            Router("", route_handlers=[BatchController], request_max_body_size=settings.max_batch_bytes),
            UserController,
            EventsController,
            health.service,
            health.health,
            health.ready,
            page.document,
            assets.asset,
        ],
        dependencies={
            "batches": Provide(lambda: batches, use_cache=True, sync_to_thread=False),
            "hub": Provide(lambda: hub, use_cache=True, sync_to_thread=False),
            "changes": Provide(lambda: changes, use_cache=True, sync_to_thread=False),
            "tasks": Provide(lambda: tasks, use_cache=True, sync_to_thread=False),
            "users": Provide(lambda: users, use_cache=True, sync_to_thread=False),
        },
        middleware=[bearer],
        on_startup=[limiter.open, poller.start, *telemetry.on_startup],
        on_shutdown=[poller.stop, database.close, limiter.close, *telemetry.on_shutdown, logs.STDOUT.finish],
        exception_handlers={HTTPException: respond, Exception: respond},
        request_class=StrictRequest,
        request_max_body_size=settings.max_body_bytes,
        plugins=[Commands(settings)],
        openapi_config=page.openapi(settings),
        logging_config=None,
        debug=False,
    )
    if metrics:
        _show(metrics, database, tasks, bearer, limiter)
        app.on_startup.append(metrics.start)
        app.on_shutdown.append(metrics.stop)
    openapi.finish(app)
    describe_operations(app.openapi_schema)
    name_priorities(app.openapi_schema, settings.priority_names)
    spell_priorities(app.openapi_schema, settings.priority_names)
    if settings.list_envelope:
        wrap_list(app.openapi_schema, settings.list_envelope)
    return app


def _metrics(settings: Settings) -> WorkerMetrics | None:
    """Return what counts, where `litestar run` answers Prometheus."""
    if settings.metrics_port and settings.prometheus_multiproc_dir:
        return WorkerMetrics(settings.prometheus_multiproc_dir, codes())
    return None


def _observers(settings: Settings, metrics: WorkerMetrics | None) -> list[Observer]:
    """Return who is told of what the database was asked."""
    observers: list[Observer] = [metrics.observer] if metrics else []
    return [*observers, SlowLog(settings.slow_query_ms)] if settings.slow_query_ms else observers


def _show(
    metrics: WorkerMetrics, database: Database, tasks: TaskStore, bearer: BearerToken, limiter: RateLimiter
) -> None:
    """Show what the parts of the application count by themselves, wherever that costs a request nothing."""
    metrics.follow(families.LIST_CACHE, tasks.cache.results)
    metrics.follow(families.TOKENS, bearer.verdicts)
    metrics.follow(families.KEY_FETCHES, bearer.verifier.key_fetches)
    metrics.follow(families.RATE_LIMITED, limiter.refused)
    connections, turns = database.connections, database.connections.turns
    metrics.show(families.CONNECTIONS, lambda: turns.taken, "used")
    metrics.show(families.CONNECTIONS, lambda: max(0, connections.open - turns.taken), "idle")
    metrics.show(families.CONNECTIONS_LIMIT, lambda: turns.size)
    metrics.show(families.REQUESTS_WAITING, lambda: turns.waiting)
    metrics.show(families.REFUSED, lambda: turns.refused, "queue_full")
    metrics.show(families.REFUSED, lambda: database.waiting.refused, "user_queue_full")
    metrics.show(families.LIST_CACHE_BYTES, lambda: tasks.cache.size)


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
