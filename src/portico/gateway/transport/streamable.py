"""One endpoint, both eras: POST, GET and DELETE on `{prefix}/mcp`. The only file with two branches.

A POST whose `MCP-Protocol-Version` is there and names no handshake revision is modern; everything else is legacy
(specification 2026-07-28 and 2025-11-25, streamable HTTP).
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from portico.gateway.exchange import EVENTS, JSON, Reply, Request, text_reply
from portico.gateway.protocol.call import Call
from portico.gateway.protocol.dispatch import Answer, Method, failure, find_method, notice, open_call
from portico.gateway.routing.endpoint import Endpoint
from portico.gateway.session.memory import Full
from portico.gateway.session.session import Session
from portico.gateway.transport.conversation import Conversations, find_session, overloaded
from portico.gateway.transport.event_stream import TooManyStreams
from portico.gateway.transport.mirrors import check_mirrors
from portico.wire import errors, versions
from portico.wire.errors import RpcError
from portico.wire.jsonrpc import Message, decode, decode_batch, is_batch

RETRY_MS = 1_000
_JSON_ONLY = (JSON,)
_BOTH = b"application/json, text/event-stream"
_ACCEPTED = Reply(202)


class StreamableHttp:
    def __init__(self, shared: Conversations) -> None:
        self._shared = shared

    def handle(self, request: Request, endpoint: Endpoint, principal: str | None) -> Coroutine[Any, Any, Reply]:
        """The reply, to be awaited. It is not a coroutine itself, for each level of them costs every call."""
        if request.method == "POST":
            return self._post(request, endpoint, principal)
        return self._without_body(request, endpoint, principal)

    # POST -----------------------------------------------------------------------------------------------------------

    async def _post(self, request: Request, endpoint: Endpoint, principal: str | None) -> Reply:
        refusal = check_media(request)
        if refusal is not None:
            return refusal
        try:
            if is_batch(request.body):
                return await self._batch(request, endpoint, principal)
            message = decode(request.body)
        except RpcError as error:
            return self._shared.refuse(request, error, error.http_status(True))
        version = _version_header(request)
        if version is not None and versions.header_is_modern(version):
            return await self._modern(request, endpoint, principal, message, version.decode("latin-1"))
        return await self._legacy(request, endpoint, principal, message)

    # The modern era: each request stands alone ----------------------------------------------------------------------

    async def _modern(
        self, request: Request, endpoint: Endpoint, principal: str | None, message: Message, version: str
    ) -> Reply:
        if message.is_notification:
            return _ACCEPTED
        shared = self._shared
        call = shared.open(request, endpoint, principal, None, modern=True, version=version)
        try:
            if not message.is_request:
                raise RpcError(errors.INVALID_REQUEST, "Clients of this revision send requests and notifications only.")
            method = _open_modern(call, message, request)
            if method.listens:
                return self._listen(call, request)
            streamed = call.wants_messages and _accepts(request, b"text/event-stream")
        except RpcError as error:
            return _json(shared.finish(call, failure(call, error)))
        if streamed:
            return self._modern_stream(call, method)
        cancel = request.cancel

        def gone() -> None:
            call.cancelled = True
            cancel()

        request.on_disconnect = gone
        answer = await shared.answer(call, method)
        return _wrap(self._shared, call, answer, request)

    def _modern_stream(self, call: Call, method: Method) -> Reply:
        """Closing the stream is the cancellation (specification 2026-07-28, streamable HTTP: Cancellation)."""
        try:
            stream = self._shared.streams.open(call.address)
        except TooManyStreams as error:
            return overloaded(str(error))
        call.notify = stream.send

        def done(answer: Answer) -> None:
            stream.send(answer.body)
            stream.close()

        stream.when_gone(self._shared.start(call, method, done))
        return Reply(200, headers=EVENTS, stream=stream)

    def _listen(self, call: Call, request: Request) -> Reply:
        if not _accepts(request, b"text/event-stream"):
            return text_reply(406, "subscriptions/listen is answered by a stream: accept text/event-stream.")
        try:
            stream = self._shared.streams.open(call.address)
        except TooManyStreams as error:
            return overloaded(str(error))
        try:
            stream.when_gone(self._shared.subscriptions.listen(call, stream))
        except RpcError:
            stream.close()
            raise
        self._shared.observer.finished(call, "ok", 200, self._shared.clock())
        return Reply(200, headers=EVENTS, stream=stream)

    # The legacy era: sessions ---------------------------------------------------------------------------------------

    async def _legacy(self, request: Request, endpoint: Endpoint, principal: str | None, message: Message) -> Reply:
        shared = self._shared
        known = _session_header(request)
        if message.method == "initialize" or known is None:
            return await self._without_session(request, endpoint, principal, message)
        session = find_session(shared, endpoint, principal, known)
        if isinstance(session, str):
            return await shared.peers.forward(request, session)
        if session is None:
            return self._no_session(request, message)
        call = shared.open(request, endpoint, principal, session, modern=False, version=session.version)
        try:
            _require_offered(call, request)
            if not message.is_request:
                return _take(call, message)
            open_call(call, message)
            method = find_method(call.method, modern=False)
            _admit(call, session)
        except RpcError as error:
            return _json(shared.finish(call, failure(call, error)))
        if call.wants_messages and _accepts(request, b"text/event-stream"):
            return self._legacy_stream(call, method, session)
        return _wrap(shared, call, await self._cancellable(call, method, session, request), request)

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
        self, request: Request, endpoint: Endpoint, principal: str | None, message: Message
    ) -> Reply:
        shared = self._shared
        version = _version_header(request) or versions.ASSUMED_WITHOUT_HEADER.encode()
        call = shared.open(request, endpoint, principal, None, modern=False, version=version.decode("latin-1"))
        try:
            open_call(call, message)
            method = find_method(call.method, modern=False) if message.is_request else None
            if method is None or not method.without_session:
                raise RpcError(
                    errors.INVALID_REQUEST,
                    "The Mcp-Session-Id header is missing: send initialize first and repeat the header of its answer, "
                    "or speak the stateless revision with MCP-Protocol-Version: 2026-07-28.",
                    status=400,
                )
            if not method.opens_session:
                return _wrap(shared, call, await shared.answer(call, method), request)
            session = shared.sessions.create(endpoint.prefix, principal, request.address)
        except RpcError as error:
            return _json(shared.finish(call, failure(call, error)))
        except Full as error:
            return overloaded(str(error))
        call.session = session
        answer = await shared.answer(call, method)
        if answer.outcome != "ok":
            shared.sessions.end(session)
            return _wrap(shared, call, answer, request)
        return _wrap(shared, call, answer, request).with_headers(((b"mcp-session-id", session.identifier.encode()),))

    def _legacy_stream(self, call: Call, method: Method, session: Session) -> Reply:
        """The stream belongs to the session: when its connection breaks, the call goes on and the client may resume."""
        try:
            stream = self._shared.streams.open(call.address)
        except TooManyStreams as error:
            return overloaded(str(error))
        log = session.open_log()
        log.connect(stream, None)
        if session.version >= "2025-11-25":
            log.prime(RETRY_MS)
        call.notify = log.send
        identifier = call.identifier
        assert identifier is not None

        def done(answer: Answer) -> None:
            session.calls.pop(identifier, None)
            log.send(answer.body)
            log.finish()

        session.calls[identifier] = self._shared.start(call, method, done)
        return Reply(200, headers=EVENTS, stream=stream)

    async def _batch(self, request: Request, endpoint: Endpoint, principal: str | None) -> Reply:
        """An array of messages, which revision 2025-03-26 alone knows (specification 2025-03-26, basic)."""
        shared = self._shared
        members = decode_batch(request.body)
        version = (_version_header(request) or versions.ASSUMED_WITHOUT_HEADER.encode()).decode("latin-1")
        known = _session_header(request)
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
        return Reply(200, b"[" + b",".join(bodies) + b"]", _JSON_ONLY) if bodies else _ACCEPTED

    async def _batch_member(
        self, raw: bytes, request: Request, endpoint: Endpoint, principal: str | None, session: Session
    ) -> Answer | None:
        shared = self._shared
        call = shared.open(request, endpoint, principal, session, modern=False, version=session.version)
        try:
            message = decode(raw)
            if not message.is_request:
                _take(call, message)
                return None
            open_call(call, message)
            method = find_method(call.method, modern=False)
            if method.opens_session:
                raise RpcError(errors.INVALID_REQUEST, "initialize cannot be part of a batch.")
            _admit(call, session)
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

    # GET and DELETE -------------------------------------------------------------------------------------------------

    async def _without_body(self, request: Request, endpoint: Endpoint, principal: str | None) -> Reply:
        if request.method not in ("GET", "DELETE"):
            return text_reply(405, "An MCP endpoint takes POST, GET and DELETE.", ((b"allow", b"POST, GET, DELETE"),))
        if versions.header_is_modern(_version_header(request)):
            return text_reply(405, "The stateless revisions of MCP use POST only.", ((b"allow", b"POST"),))
        shared = self._shared
        known = _session_header(request)
        if request.method == "GET" and not _accepts(request, b"text/event-stream"):
            return text_reply(406, "GET opens an event stream here: accept text/event-stream.")
        if known is None:
            return text_reply(400, "The Mcp-Session-Id header is missing: POST an initialize request first.")
        session = find_session(shared, endpoint, principal, known)
        if isinstance(session, str):
            return await shared.peers.forward(request, session)
        if session is None:
            return self._no_session(request, None)
        if request.method == "DELETE":
            shared.sessions.end(session)
            return Reply(204)
        return self._open_standing(request, session)

    def _open_standing(self, request: Request, session: Session) -> Reply:
        """The session's standing stream, or, with `Last-Event-ID`, the rest of the stream that broke."""
        try:
            stream = self._shared.streams.open(request.address)
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


def _open_modern(call: Call, message: Message, request: Request) -> Method:
    """Everything that must hold before a modern method runs, in the order in which a client can mend it."""
    open_call(call, message)
    call.require_modern()
    check_mirrors(call, request, "version")
    call.require_version()
    check_mirrors(call, request, "method")
    method = find_method(call.method, modern=True)
    if method.mirrored is not None:
        check_mirrors(call, request, method.mirrored)
    if method.admit_modern is not None:
        method.admit_modern(call)
    return method


def _admit(call: Call, session: Session) -> None:
    if call.identifier in session.calls:
        raise RpcError(errors.INVALID_REQUEST, "A request with this id is still under way in this session.")
    if len(session.calls) >= session.MOST_CALLS:
        raise RpcError(errors.OVERLOADED, f"{session.MOST_CALLS} calls of this session are under way.", status=429)


def _take(call: Call, message: Message) -> Reply:
    """A notification, or the answer to a request of ours (a REST-backed endpoint never asks, so nothing waits)."""
    if message.is_notification:
        try:
            open_call(call, message)
        except RpcError as error:
            raise RpcError(error.code, error.message, status=400) from None
        notice(call)
    return _ACCEPTED


def _require_offered(call: Call, request: Request) -> None:
    """A revision that this endpoint does not speak is refused (2025-11-25, transports: Version Header)."""
    header, offered = _version_header(request), versions.supported(call.endpoint.oldest)
    if header is not None and header.decode("latin-1") not in offered:
        text = f"Unsupported protocol version; this endpoint speaks {', '.join(offered)}."
        raise RpcError(
            errors.UNSUPPORTED_VERSION, text, {"supported": offered, "requested": header.decode("latin-1")}, status=400
        )


def _json(answer: Answer) -> Reply:
    return Reply(answer.status, answer.body, _JSON_ONLY)


def _wrap(shared: Conversations, call: Call, answer: Answer, request: Request) -> Reply:
    """JSON, unless the client insists on an event stream."""
    if answer.status != 200 or _accepts(request, b"application/json"):
        return _json(answer)
    try:
        stream = shared.streams.open(call.address)
    except TooManyStreams as error:
        return overloaded(str(error))
    stream.send(answer.body)
    stream.close()
    return Reply(200, headers=EVENTS, stream=stream)


def check_media(request: Request) -> Reply | None:
    """415 for a body that is not JSON, 406 for a client that would read neither of the two kinds of answer."""
    content_type = request.headers.get(b"content-type", b"")
    if content_type != b"application/json" and content_type.partition(b";")[0].strip().lower() != b"application/json":
        return text_reply(415, "The body must be JSON: send Content-Type: application/json.")
    if _accepts(request, b"application/json") or _accepts(request, b"text/event-stream"):
        return None
    return text_reply(406, "Answers are JSON or an event stream: accept application/json and text/event-stream.")


def _accepts(request: Request, kind: bytes) -> bool:
    accept = request.headers.get(b"accept")
    if accept is None or accept == _BOTH:
        return True
    accept = accept.lower()
    return kind in accept or b"*/*" in accept or kind.partition(b"/")[0] + b"/*" in accept


def _version_header(request: Request) -> bytes | None:
    value = request.headers.get(b"mcp-protocol-version")
    return None if value is None else value.strip(b" \t")


def _session_header(request: Request) -> str | None:
    value = request.headers.get(b"mcp-session-id")
    return None if value is None else value.strip(b" \t").decode("latin-1")
