"""Traces and reports of exceptions, each where its variable is set; nothing of their packages is imported otherwise."""

from collections.abc import Callable
from typing import Any, Final

from app.db.observers import AnyObserver, OfTraced
from app.logs import AccessLine
from app.settings import Settings, SettingsError, environment, lend_environment

Log = Callable[[AccessLine], None]

OTLP_OVER_HTTP: Final = "http/protobuf"
NOT_INSTALLED: Final = (
    "{0} is set, but the packages for it are not installed: `uv sync --group {1}` or `pip install --group {1}` does "
    "that, and docs/operations.md says how an image gets them."
)


class Telemetry:
    """What the application asks for in the places where something can be told; empty where nobody is to be told.

    Raises SettingsError.
    """

    def __init__(self, settings: Settings) -> None:
        self.log_processors: list[Any] = []
        self.observers: list[AnyObserver] = []
        self.begin: Callable[[Any, Log], Log] | None = None
        self.on_startup: list[Callable[[], None]] = []
        self.on_shutdown: list[Any] = []
        if settings.sentry_dsn:
            self._report_to(settings)
        if settings.traces_url and _wanted():
            self._trace(settings)

    def _report_to(self, settings: Settings) -> None:
        try:
            from app.telemetry.sentry import Sentry  # noqa: PLC0415 - optional
        except ModuleNotFoundError:
            raise SettingsError(NOT_INSTALLED.format("SENTRY_DSN", "sentry")) from None
        try:
            sentry = Sentry(settings)
        except ValueError as error:
            raise SettingsError(f"SENTRY_DSN is not usable: {type(error).__name__}") from None
        self.log_processors.append(sentry)
        self.on_shutdown.append(sentry.close)

    def _trace(self, settings: Settings) -> None:
        lend_environment("OTEL_")
        try:
            from app.telemetry.export import Traces  # noqa: PLC0415 - optional

            traces = Traces(settings)
        except ModuleNotFoundError:
            raise SettingsError(NOT_INSTALLED.format("OTEL_EXPORTER_OTLP_ENDPOINT", "traces")) from None
        except ValueError as error:
            raise SettingsError(f"A variable of OpenTelemetry is not usable: {error}") from None
        self.begin = traces.begin
        self.observers.append(OfTraced(traces.observe))
        self.on_startup.append(traces.open)
        self.on_shutdown.append(traces.close)


def _wanted() -> bool:
    """Tell whether OpenTelemetry's variables leave traces on. Raises SettingsError for what is not spoken here."""
    given = {name: (text or "").strip().lower() for name, text in environment().items() if name.startswith("OTEL_")}
    exporters = given.get("OTEL_TRACES_EXPORTER") or "otlp"
    if given.get("OTEL_SDK_DISABLED") == "true" or exporters == "none":
        return False
    if exporters != "otlp":
        raise SettingsError("OTEL_TRACES_EXPORTER is not usable: it has to be `otlp` or `none`.")
    for name in ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"):
        if protocol := given.get(name):
            if protocol != OTLP_OVER_HTTP:
                raise SettingsError(f"{name} is not usable: only {OTLP_OVER_HTTP} is spoken, mostly at port 4318.")
            break
    return True
