"""The modern era: each POST stands alone and says everything (specification 2026-07-28, streamable HTTP)."""

from __future__ import annotations

from collections.abc import Callable

from portico.auth.principal import Principal
from portico.gateway.exchange import EVENTS, JSON, Reply, Request, text_reply
from portico.gateway.protocol.bridge.parking import over
from portico.gateway.protocol.call import Call
from portico.gateway.protocol.dispatch import Answer, Method, dispatch, failure, open_call
from portico.gateway.protocol.params import UNSET
from portico.gateway.routing.endpoint import Endpoint
from portico.gateway.transport.conversation import Conversations, alone, overloaded, reply_of
from portico.gateway.transport.event_stream import EventStream, TooManyStreams
from portico.gateway.transport.media import accepts_events
from portico.gateway.transport.mirrors import check_mirrors, mirrors_of
from portico.gateway.transport.relayed import Relayed
from portico.wire import errors
from portico.wire.errors import RpcError
from portico.wire.jsonrpc import Message

_ACCEPTED = Reply(202)


class Stateless:
    def __init__(self, shared: Conversations) -> None:
        self._shared = shared

    async def post(
        self, request: Request, endpoint: Endpoint, principal: Principal | None, message: Message, version: str
    ) -> Reply:
        shared = self._shared
        call = shared.open(request, endpoint, principal, None, True, version)
        try:
            if not message.is_request:
                return _take(message)
            method = _admit(shared, call, message, request)
            if endpoint.relays and call.params.request_state is not UNSET and not request.handed_over:
                worker = shared.relay.bridge.elsewhere(call.params.request_state)
                if worker is not None:
                    return await self._hand_over(request, worker)
            streamed = call.wants_messages and accepts_events(request)
            shared.admission.enter(call)
            if method.listens:
                return self._listen(call, request)
        except RpcError as error:
            return alone(shared.finish(call, failure(call, error)))
        if endpoint.relays and not method.quiet and accepts_events(request):
            return await self.relayed(call, method, request)
        if streamed:
            return self._stream(call, method)
        cancel = request.cancel

        def gone() -> None:
            call.cancelled = True
            cancel()

        request.on_disconnect = gone
        try:
            answer = await dispatch(call, method)
        finally:
            shared.admission.leave(call)
        shared.finish(call, answer)
        return reply_of(shared, call, answer, request)

    async def _hand_over(self, request: Request, worker: str) -> Reply:
        """The call that waits for this input is another worker's."""
        request.on_disconnect = request.cancel
        reply = await self._shared.peers.forward(request, worker)
        if reply.status == 404 and reply.headers[:1] != (JSON,):
            raise over()
        return reply

    async def relayed(self, call: Call, method: Method, request: Request) -> Reply:
        call.mirrors = mirrors_of(request)

        def opened(stream: EventStream) -> tuple[EventStream, Callable[[], None]]:
            stream.when_gone(relayed.cancel)
            return stream, stream.close

        relayed = Relayed(self._shared, call, method, opened)
        request.on_disconnect = relayed.cancel
        return await relayed.reply()

    def _stream(self, call: Call, method: Method) -> Reply:
        """Closing the stream is the cancellation (specification 2026-07-28, streamable HTTP: Cancellation)."""
        try:
            stream = self._shared.open_stream(call)
        except TooManyStreams as error:
            self._shared.admission.leave(call)
            return overloaded(str(error))
        call.notify = stream.send

        def done(answer: Answer) -> None:
            stream.send(answer.body)
            stream.close()

        stream.when_gone(self._shared.start(call, method, done))
        return Reply(200, headers=EVENTS, stream=stream)

    def _listen(self, call: Call, request: Request) -> Reply:
        if not accepts_events(request):
            return text_reply(406, "subscriptions/listen is answered by a stream: accept text/event-stream.")
        try:
            stream = self._shared.open_stream(call, "listen")
        except TooManyStreams as error:
            return overloaded(str(error))
        try:
            attendances = self._shared.attendances if call.endpoint.aggregate is not None else None
            stream.when_gone((attendances or self._shared.subscriptions).listen(call, stream))
        except RpcError:
            stream.close()
            raise
        self._shared.observer.finished(call, "ok", 200, self._shared.clock())
        return Reply(200, headers=EVENTS, stream=stream)


def _take(message: Message) -> Reply:
    if message.is_notification:
        return _ACCEPTED
    raise RpcError(errors.INVALID_REQUEST, "Clients of this revision send requests and notifications only.")


def _admit(shared: Conversations, call: Call, message: Message, request: Request) -> Method:
    """Everything that must hold before a modern method runs, in the order in which a client can mend it."""
    open_call(call, message)
    meta, headers = call.params.meta, request.headers
    if meta is UNSET or meta.version is UNSET or meta.capabilities is UNSET:
        call.require_modern()
    elif meta.version != call.version:
        check_mirrors(call, request, "version")
    # What a relayed endpoint speaks, its upstream says: see relay.py.
    if call.version not in call.endpoint.offered and call.endpoint.upstream is None:
        call.require_version()
    # Nearly every client sends the plain value; whatever differs is looked at closely.
    if headers.get(b"mcp-method") != call.method.encode():
        check_mirrors(call, request, "method")
    method = shared.method(call)
    if method.mirrored is not None:
        check_mirrors(call, request, method.mirrored)
    if method.admit_modern is not None:
        method.admit_modern(call)
    return method
