"""Every metric that workers count: its name by the Prometheus conventions, what it means, and its labels.

Label values come from closed sets: nothing that a client chooses, and nothing of a user, stands in one.
"""

from typing import Final, Literal, NamedTuple


class Family(NamedTuple):
    """One metric. A gauge is the sum over the workers that live; the others keep what those counted that ended."""

    kind: Literal["counter", "gauge", "histogram"]
    name: str
    help: str
    labels: tuple[str, ...] = ()


REQUESTS: Final = Family(
    "histogram",
    "tasks_http_request_duration_seconds",
    "Time from a request's arrival to the end of its answer.",
    ("method", "route", "status"),
)
PROBLEMS: Final = Family(
    "counter", "tasks_problems_total", "Answers from 400 up, by the code in their body.", ("code",)
)

CONNECTIONS: Final = Family(
    "gauge", "tasks_database_connections", "Open connections to the database, by what they do.", ("state",)
)
CONNECTIONS_LIMIT: Final = Family(
    "gauge", "tasks_database_connections_limit", "Connections that the workers may have open together."
)
REQUESTS_WAITING: Final = Family(
    "gauge", "tasks_database_requests_waiting", "Requests that wait for a connection to the database."
)
REFUSED: Final = Family(
    "counter",
    "tasks_database_refused_total",
    "Requests that were refused because too many waited for the database.",
    ("reason",),
)
STATEMENTS: Final = Family(
    "histogram",
    "tasks_database_statement_duration_seconds",
    "Time from sending a statement to its answer, of all attempts together.",
    ("statement",),
)
WAITS: Final = Family(
    "histogram", "tasks_database_wait_seconds", "Time that statements wait in the worker until there is a connection."
)
RETRIES: Final = Family(
    "counter", "tasks_database_statement_retries_total", "Attempts at a statement after its first one.", ("statement",)
)
FAILURES: Final = Family(
    "counter",
    "tasks_database_statement_failures_total",
    "Statements that the database refused or did not answer in time.",
    ("statement",),
)
UNKNOWN: Final = Family(
    "counter",
    "tasks_database_outcome_unknown_total",
    "Writes that were sent, and of which no answer says whether they took effect.",
    ("statement",),
)

LIST_CACHE: Final = Family(
    "counter",
    "tasks_list_cache_requests_total",
    "Lists that were answered with a body: from the cache, or from the database.",
    ("result",),
)
LIST_CACHE_BYTES: Final = Family("gauge", "tasks_list_cache_bytes", "Memory that cached lists take.")
TOKENS: Final = Family(
    "counter", "tasks_tokens_total", "Verdicts about tokens: accepted, or the rule that refused one.", ("result",)
)
KEY_FETCHES: Final = Family(
    "counter", "tasks_key_fetches_total", "Times that the issuer was asked for its public keys.", ("result",)
)
STREAMS: Final = Family("gauge", "tasks_event_streams", "Streams of live updates that are open.")
STREAMS_OPENED: Final = Family(
    "counter", "tasks_event_streams_opened_total", "Streams of live updates that were opened."
)
STREAMS_REFUSED: Final = Family(
    "counter",
    "tasks_event_streams_refused_total",
    "Streams of live updates that were refused because too many were open, by the code of the problem.",
    ("code",),
)
EVENTS_SHARED: Final = Family(
    "gauge", "tasks_events_shared", "Workers that tell each other of writes; the others ask the database."
)
RATE_LIMITED: Final = Family(
    "counter", "tasks_rate_limited_total", "Requests that were refused by a rate limit.", ("limit",)
)
