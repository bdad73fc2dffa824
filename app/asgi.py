"""The composition root: what the service is made of, in order. Nothing imports this module."""

import gc
import os
import signal
import threading
from functools import partial
from http import HTTPStatus
from multiprocessing import parent_process
from typing import TYPE_CHECKING, Any, Final

from litestar import Litestar, Router
from litestar.datastructures import State
from litestar.di import Provide
from litestar.exceptions import HTTPException
from litestar.openapi.spec import OpenAPI

from app import health, logs
from app.auth.bearer import BearerToken
from app.auth.tokens import TokenVerifier
from app.cli import Commands
from app.db.database import Database
from app.db.observers import AnyObserver
from app.db.slow_log import slow_log
from app.docs import assets, page
from app.errors import codes, respond
from app.events.controller import ROUTE, EventsController
from app.events.hub import Hub
from app.events.polling import Poller
from app.events.siblings import Told, join
from app.http import openapi
from app.http.body import StrictRequest
from app.http.cross_origin import CrossOrigin
from app.http.outermost import Application
from app.metrics.readings import show, show_events
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

if TYPE_CHECKING:
    from app.events.shared import SharedEvents

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
    shared = _shared(settings, hub, poller)
    told: Told = shared or hub
    siblings = join(told)
    if siblings:
        told = siblings
        poller.others_wrote = siblings.have_written
        poller.told_of_doubt.append(siblings.note)
    tasks = TaskStore(
        database,
        moved=told.moved,
        priority_names=settings.priority_names,
        cache_bytes=settings.list_cache_bytes,
        compress=settings.compress_lists,
        envelope=settings.list_envelope,
    )
    changes = ChangeFeed(database, priority_names=settings.priority_names, compress=settings.compress_lists)
    batches = BatchStore(database, priority_names=settings.priority_names, moved=told.moved)
    users = UserStore(database, priority_names=settings.priority_names, erased=told.erased)
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
        describe=partial(_describe, settings=settings),
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
    if shared:
        app.on_startup.append(shared.start)
        app.on_shutdown.insert(0, shared.stop)
    if siblings:
        app.on_shutdown.append(siblings.leave)
    if metrics:
        show(metrics, database, tasks, bearer, limiter)
        show_events(metrics, hub, shared)
        app.on_startup.append(metrics.start)
        app.on_shutdown.append(metrics.stop)
    return app


def _describe(document: OpenAPI, app: Litestar, settings: Settings) -> None:
    """Finish the OpenAPI document."""
    openapi.finish(document, app)
    describe_operations(document)
    name_priorities(document, settings.priority_names)
    spell_priorities(document, settings.priority_names)
    if settings.list_envelope:
        wrap_list(document, settings.list_envelope)


def _metrics(settings: Settings) -> WorkerMetrics | None:
    """Return what counts, where `litestar run` answers Prometheus."""
    if settings.metrics_port and settings.prometheus_multiproc_dir:
        return WorkerMetrics(settings.prometheus_multiproc_dir, codes(), [("GET", ROUTE, HTTPStatus.OK)])
    return None


def _shared(settings: Settings, hub: Hub, poller: Poller) -> "SharedEvents | None":
    """Return what tells all workers of writes, where there is a server for that."""
    if not settings.events_url:
        return None
    from app.events.shared import SharedEvents  # noqa: PLC0415 - the client takes half a second to import

    shared = SharedEvents(settings.events_url, hub, poller.catch_up)
    poller.others_tell = lambda: shared.up
    poller.told_of_doubt.append(shared.doubt)
    return shared


def _observers(settings: Settings, metrics: WorkerMetrics | None) -> list[AnyObserver]:
    """Return who is told of what the database was asked."""
    observers: list[AnyObserver] = [metrics.observer] if metrics else []
    return [*observers, slow_log(settings.slow_query_ms)] if settings.slow_query_ms else observers


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
