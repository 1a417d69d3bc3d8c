"""The transport of 2024-11-05: a stream at `{prefix}/sse` announces where to POST, and carries every answer."""

from __future__ import annotations

from urllib.parse import parse_qs

from portico.auth.principal import Principal
from portico.gateway.exchange import EVENTS, Reply, Request, text_reply
from portico.gateway.protocol.call import Call
from portico.gateway.protocol.dispatch import Answer, failure, notice, open_call
from portico.gateway.routing.endpoint import Endpoint
from portico.gateway.session.memory import Full
from portico.gateway.session.session import Session
from portico.gateway.transport.conversation import Conversations, find_session, overloaded
from portico.gateway.transport.event_stream import TooManyStreams
from portico.wire import errors
from portico.wire.errors import RpcError
from portico.wire.jsonrpc import Message, decode, decode_batch, is_batch


class LegacySse:
    """`public_path` is the path under which people reach the gateway, empty unless it lies behind a sub-path."""

    def __init__(self, shared: Conversations, public_path: str) -> None:
        self._shared = shared
        self._public_path = public_path

    def open(self, request: Request, endpoint: Endpoint, principal: Principal | None) -> Reply:
        """GET /sse: the session lives exactly as long as this stream."""
        if request.method != "GET":
            return text_reply(405, "GET opens the stream; messages are POSTed where it says.", ((b"allow", b"GET"),))
        shared = self._shared
        try:
            stream = shared.streams.open(request.address, "sse", prefix=endpoint.prefix, principal=principal)
        except TooManyStreams as error:
            return overloaded(str(error))
        try:
            session = shared.sessions.create(endpoint.prefix, principal, request.address)
        except Full as error:
            stream.close()
            return overloaded(str(error))
        session.via_sse = True
        stream.when_gone(lambda: shared.sessions.end(session))
        path = f"{self._public_path}{endpoint.prefix.rstrip('/')}/message?sessionId={session.identifier}"
        stream.send(path.encode(), name=b"endpoint")
        session.standing.connect(stream, None)
        return Reply(200, headers=EVENTS, stream=stream)

    async def post(self, request: Request, endpoint: Endpoint, principal: Principal | None) -> Reply:
        """POST /message: 202, and the answer goes out on the stream."""
        if request.method != "POST":
            return text_reply(405, "Messages are POSTed here.", ((b"allow", b"POST"),))
        identifier = parse_qs(request.query.decode("latin-1"), max_num_fields=20).get("sessionId", [""])[0]
        session = find_session(self._shared, endpoint, principal, identifier, via_sse=True)
        if isinstance(session, str):
            return await self._shared.peers.forward(request, session)
        if session is None:
            return text_reply(404, "Session not found: open GET /sse first and POST where its endpoint event says.")
        try:
            messages = [decode(raw) for raw in self._split(request.body, session)]
        except RpcError as error:
            return self._shared.refuse(request, error, 400)
        for message in messages:
            await self._take(message, request, endpoint, principal, session)
        return Reply(202, b"Accepted", ((b"content-type", b"text/plain"),))

    def _split(self, body: bytes, session: Session) -> list[bytes]:
        if not is_batch(body):
            return [body]
        if session.version != "2025-03-26":
            raise RpcError(errors.INVALID_REQUEST, "This revision has no batches: send each message alone.")
        return decode_batch(body)

    async def _hear(self, call: Call, message: Message) -> None:
        """A notification, or an answer to what an upstream asked."""
        if message.is_notification:
            open_call(call, message)
        if call.endpoint.relays:
            await self._shared.relay.take(call, message)
        elif message.is_notification:
            notice(call)

    async def _take(
        self, message: Message, request: Request, endpoint: Endpoint, principal: Principal | None, session: Session
    ) -> None:
        shared = self._shared
        call = shared.open(request, endpoint, principal, session, False, session.version)
        try:
            if not message.is_request:
                await self._hear(call, message)
                return
            open_call(call, message)
            method = shared.method(call)
            identifier = call.identifier
            assert identifier is not None
            if identifier in session.calls:
                raise RpcError(errors.INVALID_REQUEST, "A request with this id is still under way in this session.")
            if len(session.calls) >= session.MOST_CALLS:
                raise RpcError(errors.OVERLOADED, f"{session.MOST_CALLS} calls of this session are under way.")
            shared.admission.enter(call)
        except RpcError as error:
            session.standing.send(shared.finish(call, failure(call, error)).body)
            return
        call.notify = session.standing.send

        def done(answer: Answer) -> None:
            session.calls.pop(identifier, None)
            session.standing.send(answer.body)

        session.calls[identifier] = shared.start(call, method, done)
