"""Structured logs on stdout: JSON for machines, text for people; never a token, a query string or a body."""

import logging
import logging.config
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, Literal

import msgspec
import structlog

from app.log_stream import LogStream
from app.settings import Settings

logger = structlog.get_logger("app.access")

Level = Literal["info", "warning", "error"]

ENCODER: Final = msgspec.json.Encoder()
STDOUT: Final = LogStream(sys.__stdout__, lambda lines: logger.error("log lines lost", lines=lines))


class AccessLine(msgspec.Struct, kw_only=True, gc=False):
    """One request and its answer: no query string, no header, no body. The duration is in milliseconds.

    `code` is that of the problem, where the answer is one, and `trace_id` that of the trace, where there is one.
    """

    method: str
    route: str | None
    status: int
    code: str | msgspec.UnsetType = msgspec.UNSET
    duration_ms: float
    bytes: int
    user_id: str | None
    request_id: str
    trace_id: str | msgspec.UnsetType = msgspec.UNSET
    event: str = "request"
    level: Level = "info"
    timestamp: datetime = msgspec.field(default_factory=partial(datetime.now, UTC))


def access(settings: Settings) -> Callable[[AccessLine], None]:
    """Return what writes access lines in the form, and from the level, that the settings ask for."""
    levels = logging.getLevelNamesMapping()
    lowest = levels[settings.log_level.upper()]
    write = _write_json if settings.log_format == "json" else _write_text
    if lowest <= logging.INFO:
        return write

    def write_severe(line: AccessLine) -> None:
        if levels[line.level.upper()] >= lowest:
            write(line)

    return write_severe


def _write_json(line: AccessLine) -> None:
    """Encode the Struct as it is, at a fraction of what structlog's chain of processors costs."""
    STDOUT.append(ENCODER.encode(line) + b"\n")


def _write_text(line: AccessLine) -> None:
    members = {name: value for name, value in msgspec.structs.asdict(line).items() if value is not msgspec.UNSET}
    event, level, _ = members.pop("event"), members.pop("level"), members.pop("timestamp")  # structlog adds its own
    getattr(logger, level)(event, **members)


class Output:
    """Where structlog leaves its lines. Its own loggers hold a lock, and a line about lost ones is logged under it."""

    def __init__(self, *_: Any) -> None:
        pass  # the name of the logger, which no line has

    def info(self, line: str) -> None:
        STDOUT.write(f"{line}\n")

    debug = warning = error = critical = info


def configure(settings: Settings, *processors: Any) -> None:
    """Set up structlog, and route what other libraries log through the same renderer.

    `processors` see each line that is not an access line before it is rendered.
    """
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        *processors,
    ]
    if settings.log_format == "json":
        render: list[Any] = [
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(
                serializer=lambda event, **_: msgspec.json.encode(event, enc_hook=str).decode()
            ),
        ]
    else:
        render = [
            structlog.dev.ConsoleRenderer(
                colors=bool(sys.stdout and sys.stdout.isatty()), exception_formatter=structlog.dev.plain_traceback
            )
        ]
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    structlog.configure(
        processors=[*shared, *render],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=Output,
        cache_logger_on_first_use=False,
    )
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {
                "structured": {
                    "()": structlog.stdlib.ProcessorFormatter,
                    "foreign_pre_chain": shared,
                    "processors": [structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render],
                }
            },
            "handlers": {"stdout": {"class": "logging.StreamHandler", "stream": STDOUT, "formatter": "structured"}},
            "root": {"handlers": ["stdout"], "level": max(level, logging.WARNING)},
            "loggers": {
                "uvicorn": {"handlers": [], "propagate": True, "level": max(level, logging.INFO)},
                "uvicorn.access": {"handlers": [], "propagate": False},  # it would log query strings
            },
        }
    )
