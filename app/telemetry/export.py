"""Spans on their way to the collector: gathered and sent by a thread of the worker, which no request waits for."""

from typing import Final

import structlog
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.semconv.attributes.service_attributes import SERVICE_NAME, SERVICE_VERSION

from app.settings import VERSION, Settings
from app.telemetry import complaints, ending
from app.telemetry.requests import DrawnIds, RequestSpans
from app.telemetry.statements import StatementSpans

SERVICE: Final = "litestar-tasks"

logger = structlog.get_logger("app.telemetry")


class Traces:
    """The traces of one application; what is not said here, OpenTelemetry's SDK reads from its own variables.

    Raises ValueError where they say something that cannot be.
    """

    def __init__(self, settings: Settings) -> None:
        complaints.listen()
        ids = DrawnIds()
        given = OTELResourceDetector().detect().attributes
        resource = Resource.create({SERVICE_NAME: SERVICE, SERVICE_VERSION: VERSION, **given})
        self._provider = TracerProvider(resource=resource, id_generator=ids, shutdown_on_exit=False)
        self._exporter = OTLPSpanExporter(endpoint=settings.traces_url)
        self.begin = RequestSpans(self._provider, ids).begin
        self.observe = StatementSpans(self._provider).observe

    def open(self) -> None:
        """Start the thread, in the process that has the spans."""
        self._provider.add_span_processor(BatchSpanProcessor(self._exporter))

    async def close(self) -> None:
        """Send what is left, if the collector takes it at once."""
        if not await ending.wait_for(self._provider.shutdown):
            logger.warning("the collector did not take the last traces in time")
            complaints.ignore()  # of a thread that has been given up
            self._exporter.shutdown()  # type: ignore[no-untyped-call]  # the SDK is typed in part
