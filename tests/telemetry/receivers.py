"""What stands for a collector and for Sentry: servers of this process that keep what they are sent."""

import gzip
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeVar

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

SECONDS = 20
T = TypeVar("T")


@dataclass
class Received:
    """One span, and what it says about who sent it."""

    span: Span
    resource: dict[str, Any]

    @property
    def name(self) -> str:
        return self.span.name

    @property
    def attributes(self) -> dict[str, Any]:
        return _dict(self.span.attributes)


@dataclass
class Receiver:
    """Keeps bodies and headers of what was posted to it."""

    url: str = ""
    bodies: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def wait_for(self, look: Callable[[], T]) -> T:
        """Wait until a look at what has come finds something."""
        with self.changed:
            assert self.changed.wait_for(look, SECONDS)
            return look()

    def spans(self, trace_id: str | None = None) -> list[Received]:
        """Return all spans so far, or those of a trace, in the order of their beginnings, the request's first."""
        found = [
            Received(span, _dict(of_resource.resource.attributes))
            for body in self.bodies
            for of_resource in ExportTraceServiceRequest.FromString(body).resource_spans
            for of_scope in of_resource.scope_spans
            for span in of_scope.spans
            if trace_id in {None, span.trace_id.hex()}
        ]
        server = Span.SPAN_KIND_SERVER
        return sorted(found, key=lambda each: (each.span.start_time_unix_nano, each.span.kind != server))

    def trace(self, trace_id: str) -> list[Received]:
        """Return a whole trace, whose request's span ends last."""

        def look() -> list[Received]:
            spans = self.spans(trace_id)
            return spans if any(received.span.kind == Span.SPAN_KIND_SERVER for received in spans) else []

        return self.wait_for(look)

    def events(self) -> list[dict[str, Any]]:
        """Return Sentry's events, each from an envelope: lines of JSON, an item's header before its body."""
        return [json.loads(body.splitlines()[2]) for body in self.bodies]


def _dict(attributes: Any) -> dict[str, Any]:
    return {each.key: _value(each) for each in attributes}


def _value(attribute: KeyValue) -> Any:
    kind = attribute.value.WhichOneof("value")
    assert kind
    return getattr(attribute.value, kind)


@contextmanager
def receiving() -> Iterator[Receiver]:
    """Serve on a free port of the loopback."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            with receiver.changed:
                receiver.paths.append(self.path)
                receiver.headers.append({name.lower(): value for name, value in self.headers.items()})
                receiver.bodies.append(body)
                receiver.changed.notify_all()
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        receiver.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield receiver
        server.shutdown()
        thread.join()
