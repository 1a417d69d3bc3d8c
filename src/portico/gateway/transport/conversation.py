"""What both transports share: making calls, running them, and writing down how they ended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from portico.auth.principal import Principal
from portico.gateway.exchange import EVENTS, JSON, JSON_ONLY, Reply, Request, text_reply
from portico.gateway.protocol.admission import Admission, CallLimits
from portico.gateway.protocol.aggregate.aggregates import Aggregates
from portico.gateway.protocol.aggregate.attending import Attendances
from portico.gateway.protocol.bridge.bridge import Bridge
from portico.gateway.protocol.bridge.seal import Seal
from portico.gateway.protocol.call import Call, Tracer
from portico.gateway.protocol.dispatch import Answer, Method, dispatch, find_method
from portico.gateway.protocol.progress import Progress
from portico.gateway.protocol.relay import Relay
from portico.gateway.protocol.subscriptions import Subscriptions
from portico.gateway.routing.endpoint import Endpoint
from portico.gateway.session.memory import Sessions
from portico.gateway.session.session import Session
from portico.gateway.transport.client_values import reader
from portico.gateway.transport.event_stream import EventStream, OpenStreams, TooManyStreams
from portico.gateway.transport.media import media_of
from portico.upstream.mcp.upstream import McpSpec
from portico.wire.errors import RpcError
from portico.wire.jsonrpc import Id, encode_error


class Peers(Protocol):
    """The other workers of this gateway."""

    async def forward(self, request: Request, worker: str) -> Reply:
        """Have the worker that owns the conversation answer; a worker that is gone gives a 404."""
        ...


class Observer(Protocol):
    def finished(self, call: Call, outcome: str, status: int, ended: float) -> None: ...
    def refused(self, call_id: str, address: str, method: str, path: str, status: int, why: str) -> None: ...


def _no_relay() -> Relay:
    return Relay(_nothing_runs, Bridge(_nothing_runs, Seal(b"", "")))


def _nothing_runs(spec: McpSpec) -> None:
    return None


@dataclass(slots=True)
class Conversations:
    """The state of this worker that transports work on. `clock` is the event loop's, in seconds."""

    sessions: Sessions
    subscriptions: Subscriptions
    streams: OpenStreams
    progress: Progress
    peers: Peers
    observer: Observer
    clock: Callable[[], float]
    next_id: Callable[[], str]
    tracer: Tracer | None = None
    aggregates: Aggregates | None = None
    attendances: Attendances | None = None
    relay: Relay = field(default_factory=_no_relay)
    admission: Admission = field(default_factory=lambda: Admission(CallLimits()))
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def open(
        self,
        request: Request,
        endpoint: Endpoint,
        principal: Principal | None,
        session: Session | None,
        modern: bool,
        version: str,
    ) -> Call:
        started, client = self.clock(), reader(request, guarded=endpoint.guard is not None)
        call = Call(endpoint, self.next_id(), started, modern, version, principal, request.address, client, session)
        call.tracer = self.tracer
        return call

    def open_stream(self, call: Call, kind: str = "call") -> EventStream:
        """A stream for the answer of a call, or TooManyStreams."""
        return self.streams.open(call.address, kind, prefix=call.endpoint.prefix, principal=call.principal)

    def method(self, call: Call) -> Method:
        """What answers the call: a method of ours, or the upstreams that the endpoint relays to; or RpcError."""
        if call.endpoint.aggregate is not None and self.aggregates is not None:
            return self.aggregates.method(call)
        if call.endpoint.upstream is not None:
            return self.relay.method(call.method, call.modern)
        return find_method(call.method, call.modern)

    async def answer(self, call: Call, method: Method) -> Answer:
        """Answer a call that was admitted; it leaves."""
        try:
            answer = await dispatch(call, method)
        finally:
            self.admission.leave(call)
        return self.finish(call, answer)

    def finish(self, call: Call, answer: Answer) -> Answer:
        self.observer.finished(call, answer.outcome, answer.status, self.clock())
        return answer

    def refuse(self, request: Request, error: RpcError, status: int, identifier: Id | None = None) -> Reply:
        """Answer a message that never became a call; the log has it under the id that the answer tells."""
        call_id, path = self.next_id(), request.path.decode("latin-1")
        self.observer.refused(call_id, request.address, request.method, path, status, error.message)
        return Reply(status, encode_error(identifier, error, call_id), (JSON,))

    def start(self, call: Call, method: Method, done: Callable[[Answer], None]) -> Callable[[], None]:
        """Answer an admitted call in a task of its own, for replies that are streams. Returns what cancels it."""

        async def run() -> None:
            with self.progress.of(call):
                answer = await self.answer(call, method)
            done(answer)

        def ended(task: asyncio.Task[None]) -> None:
            self.tasks.discard(task)
            # A task that is cancelled before its first step has answered nothing.
            self.admission.leave(call)

        task = asyncio.get_running_loop().create_task(run())
        self.tasks.add(task)
        task.add_done_callback(ended)

        def cancel() -> None:
            call.cancelled = True
            task.cancel()

        return cancel


def overloaded(text: str, retry_after: int = 5) -> Reply:
    return text_reply(429, f"Too many: {text}. Try again later.", ((b"retry-after", b"%d" % retry_after),))


def alone(answer: Answer) -> Reply:
    """A reply that is this answer and nothing else."""
    headers = (JSON, (b"retry-after", b"%d" % answer.retry_after)) if answer.retry_after else JSON_ONLY
    return Reply(answer.status, answer.body, headers)


def find_session(
    shared: Conversations, endpoint: Endpoint, principal: Principal | None, identifier: str, *, via_sse: bool = False
) -> Session | str | None:
    """The session of one transport that an identifier names, the worker that has it, or None when there is none."""
    session = shared.sessions.find(identifier, endpoint.prefix, principal)
    if session is not None:
        return session if session.via_sse is via_sse else None
    worker = shared.sessions.owner(identifier, endpoint.prefix, principal)
    return None if worker == shared.sessions.worker else worker


def reply_of(shared: Conversations, call: Call, answer: Answer, request: Request) -> Reply:
    """JSON, unless the client insists on an event stream."""
    if answer.status != 200 or media_of(request).json:
        return alone(answer)
    try:
        stream = shared.open_stream(call)
    except TooManyStreams as error:
        return overloaded(str(error))
    stream.send(answer.body)
    stream.close()
    return Reply(200, headers=EVENTS, stream=stream)


def version_header(request: Request) -> bytes | None:
    value = request.headers.get(b"mcp-protocol-version")
    return None if value is None else value.strip(b" \t")


def session_header(request: Request) -> str | None:
    value = request.headers.get(b"mcp-session-id")
    return None if value is None else value.strip(b" \t").decode("latin-1")
