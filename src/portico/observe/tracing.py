"""Spans of sampled calls by OpenTelemetry: joined with the client's trace, handed on to the upstream, sent in batches.

Whether a call is sampled is decided before anything of the SDK is touched; an unsampled call costs 0.2 µs. The SDK is
imported when an endpoint is configured, and not before. No argument, body, secret or session id becomes part of a span.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Collection
from random import random
from time import monotonic
from typing import Any

import msgspec

from portico.observe.trace_context import Parent, header_lines, parse

UNSET = msgspec.UNSET
# The last digit of a traceparent whose trace is not sampled. Most are not, so that this is all that is read of them.
_UNSAMPLED = frozenset("02468ace")


class Tracer:
    """Decides and begins. `endpoint` is the collector's base URL, `clean` takes secrets out of a text.

    A client that says that its trace is sampled is believed MOST_JOINED times a second, for a sampled call costs more
    than the others; beyond that `ratio` decides, as it does for calls that come without a trace.
    """

    MOST_JOINED = 100
    QUEUE = 2_048
    LAST_WORDS = 3.0

    def __init__(
        self,
        endpoint: str,
        ratio: float,
        version: str,
        worker: str,
        methods: Collection[str],
        clean: Callable[[str], str] = str,
    ) -> None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.sampling import ALWAYS_ON

        self._ratio = ratio
        self._methods = methods
        self._clean = clean
        self._second = 0.0
        self._joined = 0
        names = {"service.name": "portico", "service.version": version, "service.instance.id": worker}
        self._provider = TracerProvider(sampler=ALWAYS_ON, resource=Resource.create(names), shutdown_on_exit=False)
        exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces")
        self._provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=self.QUEUE))
        self._tracer = self._provider.get_tracer("portico", version)

    def begin(self, call: Any) -> CallTrace | None:
        """The trace of a call that is sampled. `_meta` wins over the HTTP headers, because they are of the request,
        which may carry several messages or be a proxy's, and `_meta` is of the message (SEP-414)."""
        meta = call.params.meta
        if meta is UNSET or meta.traceparent is UNSET:
            given = call.read_client("headers", "traceparent")
            if given is None:
                return self._start(call, None, None) if random() < self._ratio else None
            if len(given) == 55 and given[54] in _UNSAMPLED:
                return None
            around = parse(given, call.read_client("headers", "tracestate"))
            return self._join(call, around, None)
        if len(meta.traceparent) == 55 and meta.traceparent[54] in _UNSAMPLED:
            return None
        state = None if meta.tracestate is UNSET else meta.tracestate
        parent = parse(meta.traceparent, state)
        around = parse(call.read_client("headers", "traceparent"), call.read_client("headers", "tracestate"))
        return self._join(call, parent or around, around if parent else None)

    def _join(self, call: Any, parent: Parent | None, around: Parent | None) -> CallTrace | None:
        # Only a later version of the form may still say so here, behind the digit that was read.
        if parent is not None and not parent.is_sampled:
            return None
        if (parent is not None and self._may_join()) or random() < self._ratio:
            return self._start(call, parent, around)
        return None

    def _may_join(self) -> bool:
        now = monotonic()
        if now - self._second >= 1.0:
            self._second, self._joined = now, 0
        self._joined += 1
        return self._joined <= self.MOST_JOINED

    def _start(self, call: Any, parent: Parent | None, around: Parent | None) -> CallTrace:
        from opentelemetry.trace import Link, SpanKind

        links = [Link(_context(around))] if around is not None else None
        method = call.method if call.method in self._methods else "unknown"
        span = self._tracer.start_span(method, _hanging_on(parent), SpanKind.SERVER, links=links)
        return CallTrace(self._tracer, span, method, parent.state if parent is not None else "", self._clean)

    def close(self) -> None:
        """Send what is left. Blocks, for LAST_WORDS seconds at most, whatever the collector does."""
        ending = threading.Thread(target=self._provider.shutdown, daemon=True)
        ending.start()
        ending.join(self.LAST_WORDS)


class CallTrace:
    """The span of one sampled call (OpenTelemetry's semantic conventions for MCP)."""

    __slots__ = ("_clean", "_method", "_span", "_state", "_tracer", "trace_id")

    def __init__(self, tracer: Any, span: Any, method: str, state: str, clean: Callable[[str], str]) -> None:
        self._tracer = tracer
        self._span = span
        self._method = method
        self._state = state
        self._clean = clean
        self.trace_id = f"{span.get_span_context().trace_id:032x}"

    def request(self, method: str, url: str, host: str, port: int) -> RequestSpan:
        """Begin the span of a request to an upstream. `url` is complete, with what is secret in it left out."""
        from opentelemetry.trace import SpanKind, set_span_in_context

        attributes = {
            "http.request.method": method,
            "url.full": self._clean(url),
            "server.address": host,
            "server.port": port,
            "network.protocol.name": "http",
            "network.protocol.version": "1.1",
        }
        parent = set_span_in_context(self._span, _nowhere())
        return RequestSpan(self._tracer.start_span(method, parent, SpanKind.CLIENT, attributes), self._state)

    def finish(self, call: Any, name: str, outcome: str) -> None:
        """End the span. `name` is the tool's, prompt's or resource's, empty where a client made it up."""
        span = self._span
        target = name if self._method in ("tools/call", "prompts/get") else ""
        span.update_name(f"{self._method} {target}" if target else self._method)
        span.set_attributes(_about(call, self._method, name))
        if outcome != "ok":
            _fail(span, _ERROR_TYPES.get(outcome) or outcome.removeprefix("error "))
            if outcome.startswith("error "):
                span.set_attribute("rpc.response.status_code", outcome.removeprefix("error "))
        span.end()


class RequestSpan:
    """One HTTP request to an upstream (OpenTelemetry's semantic conventions for HTTP clients)."""

    __slots__ = ("_span", "_state")

    def __init__(self, span: Any, state: str) -> None:
        self._span = span
        self._state = state

    @property
    def headers(self) -> bytes:
        context = self._span.get_span_context()
        return header_lines(context.trace_id, context.span_id, int(context.trace_flags), self._state)

    def answered(self, status: int) -> None:
        self._span.set_attribute("http.response.status_code", status)
        if status >= 400:
            _fail(self._span, str(status))
        self._span.end()

    def failed(self, kind: str) -> None:
        _fail(self._span, kind)
        self._span.end()


# What a result says of itself; the codes of JSON-RPC errors are types of their own.
_ERROR_TYPES = {"tool error": "tool_error", "invalid arguments": "tool_error"}
_NAMED = {"tools/call": "gen_ai.tool.name", "prompts/get": "gen_ai.prompt.name", "resources/read": "mcp.resource.uri"}


def _about(call: Any, method: str, name: str) -> dict[str, Any]:
    attributes: dict[str, Any] = {
        "mcp.method.name": call.method[:128],
        "mcp.protocol.version": call.version[:32],
        "network.transport": "tcp",
        "network.protocol.name": "http",
        "client.address": call.address,
        "portico.call.id": call.call_id,
        "portico.endpoint": call.endpoint.prefix,
    }
    if call.identifier is not None:
        attributes["jsonrpc.request.id"] = str(call.identifier)[:128]
    if call.session is not None:
        attributes["mcp.session.id"] = _digest(call.session.identifier)
    if name and method in _NAMED:
        attributes[_NAMED[method]] = name
    if method == "tools/call":
        attributes["gen_ai.operation.name"] = "execute_tool"
    return attributes


def _digest(session: str) -> str:
    """Tells sessions apart; the id itself would let whoever reads traces speak in the session."""
    return hashlib.sha256(session.encode()).hexdigest()[:32]


def _fail(span: Any, kind: str) -> None:
    from opentelemetry.trace import StatusCode

    # Without a description: an error's text may quote arguments.
    span.set_status(StatusCode.ERROR)
    span.set_attribute("error.type", kind)


def _context(parent: Parent) -> Any:
    from opentelemetry.trace import SpanContext, TraceFlags, TraceState

    state = TraceState.from_header([parent.state]) if parent.state else None
    return SpanContext(parent.trace, parent.span, True, TraceFlags(parent.flags & 0x03), state)


def _hanging_on(parent: Parent | None) -> Any:
    from opentelemetry.trace import NonRecordingSpan, set_span_in_context

    return _nowhere() if parent is None else set_span_in_context(NonRecordingSpan(_context(parent)), _nowhere())


def _nowhere() -> Any:
    """The empty context: what a span hangs on is always said, never taken from around it."""
    from opentelemetry.context import Context

    return Context()
