"""What the parts of the application count by themselves, shown wherever that costs a request nothing."""

from typing import TYPE_CHECKING

from app.auth.bearer import BearerToken
from app.db.database import Database
from app.events.hub import Hub
from app.metrics import families
from app.metrics.worker import WorkerMetrics
from app.ratelimit.limiter import RateLimiter
from app.tasks.repository import TaskStore

if TYPE_CHECKING:
    from app.events.shared import SharedEvents


def show(
    metrics: WorkerMetrics, database: Database, tasks: TaskStore, bearer: BearerToken, limiter: RateLimiter
) -> None:
    """Show what becomes of requests."""
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


def show_events(metrics: WorkerMetrics, hub: Hub, shared: "SharedEvents | None") -> None:
    """Show what becomes of streams, and whether workers tell each other of writes."""
    metrics.show(families.STREAMS, lambda: hub.open)
    metrics.show(families.STREAMS_OPENED, lambda: hub.opened)
    metrics.follow(families.STREAMS_REFUSED, hub.refused)
    metrics.show(families.EVENTS_SHARED, lambda: shared is not None and shared.up)
