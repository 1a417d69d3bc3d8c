"""An OpenTelemetry collector that takes OTLP over HTTP and keeps the spans, decoded from their protobuf."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

PATIENCE = 5.0
KINDS = {2: "server", 3: "client"}


@dataclass(frozen=True)
class Span:
    name: str
    kind: str
    trace: str
    span: str
    parent: str
    state: str
    failed: bool
    message: str
    links: tuple[str, ...]
    attributes: dict[str, Any]
    resource: dict[str, Any]
    nanoseconds: int


@dataclass
class Collector:
    """`raw` is every byte that arrived, for tests of what must not."""

    url: str = ""
    spans: list[Span] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    raw: bytearray = field(default_factory=bytearray)
    _news: threading.Condition = field(default_factory=threading.Condition)

    def take(self, path: str, body: bytes) -> None:
        with self._news:
            self.paths.append(path)
            self.raw += body
            self.spans += _spans(ExportTraceServiceRequest.FromString(body))
            self._news.notify_all()

    def wait(self, wanted: Callable[[list[Span]], bool]) -> list[Span]:
        """The spans so far, once they are like that. Blocks: call it in a thread."""
        with self._news:
            assert self._news.wait_for(lambda: wanted(self.spans), PATIENCE), self.spans
            return list(self.spans)


def _spans(request: Any) -> Iterator[Span]:
    for group in request.resource_spans:
        for scope in group.scope_spans:
            for span in scope.spans:
                yield Span(
                    name=span.name,
                    kind=KINDS.get(span.kind, str(span.kind)),
                    trace=span.trace_id.hex(),
                    span=span.span_id.hex(),
                    parent=span.parent_span_id.hex(),
                    state=span.trace_state,
                    failed=span.status.code == 2,
                    message=span.status.message,
                    links=tuple(link.trace_id.hex() for link in span.links),
                    attributes=_attributes(span.attributes),
                    resource=_attributes(group.resource.attributes),
                    nanoseconds=span.end_time_unix_nano - span.start_time_unix_nano,
                )


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}


@contextlib.contextmanager
def collecting() -> Iterator[Collector]:
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            collector.take(self.path, self.rfile.read(int(self.headers["content-length"])))
            answer = ExportTraceServiceResponse().SerializeToString()
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    collector.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield collector
    finally:
        server.shutdown()
        server.server_close()
        thread.join(PATIENCE)
