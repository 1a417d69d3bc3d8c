"""The legacy era: conversations that begin with a handshake and go on in a session (specification 2025-11-25,
transports), with what the older revisions do differently.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from portico.auth.principal import Principal
from portico.gateway.exchange import EVENTS, JSON_ONLY, Reply, Request, text_reply
from portico.gateway.protocol.call import Call
from portico.gateway.protocol.dispatch import METHODS, Answer, Method, failure, notice, open_call
from portico.gateway.routing.endpoint import Endpoint
from portico.gateway.session.memory import Full
from portico.gateway.session.session import EventLog, Session
from portico.gateway.transport.conversation import (
    Conversations,
    alone,
    find_session,
    overloaded,
    reply_of,
    session_header,
    version_header,
)
from portico.gateway.transport.event_stream import EventStream, TooManyStreams
from portico.gateway.transport.media import accepts_events
from portico.gateway.transport.relayed import Relayed
from portico.wire import errors, versions
from portico.wire.errors import RpcError
from portico.wire.jsonrpc import Message, decode, decode_batch

RETRY_MS = 1_000
_ACCEPTED = Reply(202)


class Handshake:
    def __init__(self, shared: Conversations) -> None:
        self._shared = shared

    async def post(self, request: Request, endpoint: Endpoint, principal: Principal | None, message: Message) -> Reply:
        shared = self._shared
        known = session_header(request)
        if message.method == "initialize" or known is None:
            return await self._without_session(request, endpoint, principal, message)
        session = find_session(shared, endpoint, principal, known)
        if isinstance(session, str):
            return await shared.peers.forward(request, session)
        if session is None:
            return self._no_session(request, message)
        call = shared.open(request, endpoint, principal, session, False, session.version)
        try:
            _require_offered(call, request)
            if not message.is_request:
                return await self._take(call, message)
            open_call(call, message)
            method = shared.method(call)
            _admit(call, session)
            shared.admission.enter(call)
        except RpcError as error:
            return alone(shared.finish(call, failure(call, error)))
        if endpoint.relays and not method.quiet and accepts_events(request):
            return await self.relayed(call, method, session)
        if call.wants_messages and accepts_events(request):
            return self._legacy_stream(call, method, session)
        return reply_of(shared, call, await self._cancellable(call, method, session, request), request)

    async def _cancellable(self, call: Call, method: Method, session: Session, request: Request) -> Answer:
        identifier, cancel_wait = call.identifier, request.cancel
        assert identifier is not None

        def cancel() -> None:
            call.cancelled = True
            cancel_wait()

        session.calls[identifier] = cancel
        try:
            return await self._shared.answer(call, method)
        finally:
            session.calls.pop(identifier, None)

    async def _without_session(
        self, request: Request, endpoint: Endpoint, principal: Principal | None, message: Message
    ) -> Reply:
        shared = self._shared
        version = version_header(request) or versions.ASSUMED_WITHOUT_HEADER.encode()
        call = shared.open(request, endpoint, principal, None, False, version.decode("latin-1"))
        try:
            open_call(call, message)
            method = METHODS.get(call.method) if message.is_request else None
            if method is not None and method.opens_session:
                method = shared.method(call)
            if method is None or not method.without_session:
                raise RpcError(
                    errors.INVALID_REQUEST,
                    "The Mcp-Session-Id header is missing: send initialize first and repeat the header of its answer, "
                    "or speak the stateless revision with MCP-Protocol-Version: 2026-07-28.",
                    status=400,
                )
            shared.admission.enter(call)
            if not method.opens_session:
                return reply_of(shared, call, await shared.answer(call, method), request)
            session = shared.sessions.create(endpoint.prefix, principal, request.address)
        except RpcError as error:
            return alone(shared.finish(call, failure(call, error)))
        except Full as error:
            shared.admission.leave(call)
            return overloaded(str(error))
        call.session = session
        answer = await shared.answer(call, method)
        if answer.outcome != "ok":
            shared.sessions.end(session)
            return reply_of(shared, call, answer, request)
        return reply_of(shared, call, answer, request).with_headers(((b"mcp-session-id", session.identifier.encode()),))

    async def _take(self, call: Call, message: Message) -> Reply:
        """A notification, or an answer to what an upstream asked."""
        if message.is_notification:
            try:
                open_call(call, message)
            except RpcError as error:
                raise RpcError(error.code, error.message, status=400) from None
        if call.endpoint.relays:
            await self._shared.relay.take(call, message)
        elif message.is_notification:
            notice(call)
        return _ACCEPTED

    async def relayed(self, call: Call, method: Method, session: Session) -> Reply:
        """As _legacy_stream, but JSON where the upstream says nothing before its answer."""
        identifier = call.identifier
        assert identifier is not None

        def opened(stream: EventStream) -> tuple[EventLog, Callable[[], None]]:
            log = self._open_log(session, stream)
            return log, log.finish

        relayed = Relayed(self._shared, call, method, opened)
        session.calls[identifier] = relayed.cancel
        relayed.when_done(lambda: session.calls.pop(identifier, None))
        return await relayed.reply()

    def _open_log(self, session: Session, stream: EventStream) -> EventLog:
        log = session.open_log()
        log.connect(stream, None)
        if session.version >= "2025-11-25":
            log.prime(RETRY_MS)
        return log

    def _legacy_stream(self, call: Call, method: Method, session: Session) -> Reply:
        """The stream belongs to the session: when its connection breaks, the call goes on and the client may resume."""
        try:
            stream = self._shared.open_stream(call)
        except TooManyStreams as error:
            self._shared.admission.leave(call)
            return overloaded(str(error))
        log = self._open_log(session, stream)
        call.notify = log.send
        identifier = call.identifier
        assert identifier is not None

        def done(answer: Answer) -> None:
            session.calls.pop(identifier, None)
            log.send(answer.body)
            log.finish()

        session.calls[identifier] = self._shared.start(call, method, done)
        return Reply(200, headers=EVENTS, stream=stream)

    async def batch(self, request: Request, endpoint: Endpoint, principal: Principal | None) -> Reply:
        """An array of messages, which revision 2025-03-26 alone knows (specification 2025-03-26, basic)."""
        shared = self._shared
        members = decode_batch(request.body)
        version = (version_header(request) or versions.ASSUMED_WITHOUT_HEADER.encode()).decode("latin-1")
        known = session_header(request)
        if known is None and version == versions.BATCHING:
            raise RpcError(
                errors.INVALID_REQUEST, "The Mcp-Session-Id header is missing: send initialize first, alone."
            )
        session = None
        if known is not None and not versions.header_is_modern(version.encode()):
            session = find_session(shared, endpoint, principal, known)
            if isinstance(session, str):
                return await shared.peers.forward(request, session)
            if session is None:
                return self._no_session(request, None)
            version = session.version
        if session is None or version != versions.BATCHING:
            raise RpcError(errors.INVALID_REQUEST, f"Revision {version[:32]} has no batches: send each message alone.")
        answers = await asyncio.gather(
            *(self._batch_member(member, request, endpoint, principal, session) for member in members)
        )
        bodies = [answer.body for answer in answers if answer is not None]
        return Reply(200, b"[" + b",".join(bodies) + b"]", JSON_ONLY) if bodies else _ACCEPTED

    async def _batch_member(
        self, raw: bytes, request: Request, endpoint: Endpoint, principal: Principal | None, session: Session
    ) -> Answer | None:
        shared = self._shared
        call = shared.open(request, endpoint, principal, session, False, session.version)
        try:
            message = decode(raw)
            if not message.is_request:
                await self._take(call, message)
                return None
            open_call(call, message)
            method = shared.method(call)
            if method.opens_session:
                raise RpcError(errors.INVALID_REQUEST, "initialize cannot be part of a batch.")
            _admit(call, session)
            shared.admission.enter(call)
        except RpcError as error:
            return shared.finish(call, failure(call, error))
        task = asyncio.current_task()
        assert task is not None
        identifier = call.identifier
        assert identifier is not None

        def cancel() -> None:
            call.cancelled = True
            task.cancel()

        session.calls[identifier] = cancel
        try:
            return await shared.answer(call, method)
        finally:
            session.calls.pop(identifier, None)

    def _no_session(self, request: Request, message: Message | None) -> Reply:
        identifier = message.id if message is not None and isinstance(message.id, int | str) else None
        error = RpcError(errors.INVALID_REQUEST, "Session not found: it has ended or expired. Send initialize again.")
        return self._shared.refuse(request, error, 404, identifier)

    async def get(self, request: Request, endpoint: Endpoint, principal: Principal | None) -> Reply:
        """Open the session's standing stream, or resume one that broke."""
        if not accepts_events(request):
            return text_reply(406, "GET opens an event stream here: accept text/event-stream.")
        session = await self._of(request, endpoint, principal)
        return session if isinstance(session, Reply) else self._open_standing(request, session)

    async def delete(self, request: Request, endpoint: Endpoint, principal: Principal | None) -> Reply:
        session = await self._of(request, endpoint, principal)
        if isinstance(session, Reply):
            return session
        self._shared.sessions.end(session)
        return Reply(204)

    async def _of(self, request: Request, endpoint: Endpoint, principal: Principal | None) -> Session | Reply:
        """The session that the request names, or the reply of its owner or of nobody."""
        known = session_header(request)
        if known is None:
            return text_reply(400, "The Mcp-Session-Id header is missing: POST an initialize request first.")
        session = find_session(self._shared, endpoint, principal, known)
        if isinstance(session, str):
            return await self._shared.peers.forward(request, session)
        return session if session is not None else self._no_session(request, None)

    def _open_standing(self, request: Request, session: Session) -> Reply:
        """The session's standing stream, or, with `Last-Event-ID`, the rest of the stream that broke."""
        try:
            stream = self._shared.streams.open(
                request.address, "standing", prefix=session.prefix, principal=session.principal
            )
        except TooManyStreams as error:
            return overloaded(str(error))
        last = request.headers.get(b"last-event-id")
        found = session.find_log(last.decode("latin-1")) if last is not None else None
        log, after = found if found is not None else (session.standing, None)
        if session.version >= "2025-11-25" and after is None:
            log.connect(stream, None)
            log.prime(RETRY_MS)
        else:
            log.connect(stream, after)
        return Reply(200, headers=EVENTS, stream=stream)


def _admit(call: Call, session: Session) -> None:
    if call.identifier in session.calls:
        raise RpcError(errors.INVALID_REQUEST, "A request with this id is still under way in this session.")
    if len(session.calls) >= session.MOST_CALLS:
        raise RpcError(errors.OVERLOADED, f"{session.MOST_CALLS} calls of this session are under way.", status=429)


def _require_offered(call: Call, request: Request) -> None:
    """A revision that this endpoint does not speak is refused (2025-11-25, transports: Version Header)."""
    header = (version_header(request) or call.endpoint.oldest.encode()).decode("latin-1")
    if header < call.endpoint.oldest:
        offered = versions.supported(call.endpoint.oldest)
        text = f"Unsupported protocol version; this endpoint speaks {', '.join(offered)}."
        data = {"supported": list(offered), "requested": header}
        raise RpcError(errors.UNSUPPORTED_VERSION, text, data, status=400)
