"""Structured logs on stdout: JSON for machines, text for people; never a token, a query string or a body."""

import logging
import logging.config
import sys
from typing import Any

import msgspec
import structlog

from app.settings import Settings


def configure(settings: Settings) -> None:
    """Set up structlog, and route what other libraries log through the same renderer."""
    shared: list[Any] = [structlog.processors.add_log_level, structlog.processors.TimeStamper(fmt="iso", utc=True)]
    if settings.log_format == "json":
        render: list[Any] = [
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(
                serializer=lambda event, **_: msgspec.json.encode(event, enc_hook=str).decode()
            ),
        ]
    else:
        render = [
            structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty(), exception_formatter=structlog.dev.plain_traceback)
        ]
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    structlog.configure(
        processors=[*shared, *render],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(),
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
            "handlers": {
                "stdout": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout", "formatter": "structured"}
            },
            "root": {"handlers": ["stdout"], "level": max(level, logging.WARNING)},
            "loggers": {
                "uvicorn": {"handlers": [], "propagate": True, "level": max(level, logging.INFO)},
                "uvicorn.access": {"handlers": [], "propagate": False},  # it would log query strings
            },
        }
    )
