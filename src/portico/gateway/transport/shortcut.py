"""The short way of the most frequent request: `tools/call` of a REST tool, with nothing unusual about it.

One coroutine does what Entry, StreamableHttp, Stateless or Handshake, dispatch and call_tool do between them. It can,
because a client says the same in the head of each of its requests, so that what follows from the head is found out once
(`Lane`). It refuses nothing: whatever is not plain goes the general way from its beginning, before anything has
happened. It saves 12 of 47 µs a call (docs/performance.md); an Entry that is given none behaves alike.
"""

from __future__ import annotations

import logging
import math
import time
from asyncio import CancelledError
from collections.abc import Callable, Coroutine
from typing import Any

from portico.auth.principal import Principal
from portico.gateway.caller import Admitted
from portico.gateway.exchange import JSON_ONLY, Reply, Request
from portico.gateway.protocol.answer import encode_answer
from portico.gateway.protocol.call import Call
from portico.gateway.protocol.dispatch import broken, ended
from portico.gateway.protocol.params import UNSET, PlainCall, decode_plain_call
from portico.gateway.protocol.tools import result_members
from portico.gateway.routing.endpoint import Endpoint
from portico.gateway.routing.table import Door, Route
from portico.gateway.runtime.snapshot import Snapshot
from portico.gateway.session.session import Session
from portico.gateway.transport.conversation import Conversations, alone, session_header, version_header
from portico.gateway.transport.media import media_of
from portico.net.errors import NetError
from portico.template import RenderError
from portico.upstream.http_api import HttpTool
from portico.upstream.http_request import RenderedRequest
from portico.wire import versions
from portico.wire.errors import RpcError
from portico.wire.headers import decode_value
from portico.wire.jsonrpc import Id, plain_call

General = Callable[[Request], Coroutine[Any, Any, Reply]]
Plain = tuple[Call, HttpTool, RenderedRequest, dict[str, Any]]
log = logging.getLogger("portico.call")
_NOTHING: dict[str, Any] = {}
REJUDGED = 60.0
"""Seconds after which a credential in a head is judged anew, so that no lane outlives what its issuer says."""


class Lane:
    """What the head of a request settles, as long as `snapshot` is served. `endpoint` is None where it rules the short
    way out. A modern head names the tool, a legacy one the session. The credential is a part of the head, so
    that what one may use is never looked up for another."""

    __slots__ = ("endpoint", "name", "principal", "session", "snapshot", "until", "version")

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.endpoint: Endpoint | None = None
        self.version = ""
        self.name: str | None = None
        self.session: str | None = None
        self.principal: Principal | None = None
        self.until = math.inf
        """When, by the event loop's clock, the credential in the head has to be judged anew."""


class Shortcut:
    def __init__(self, shared: Conversations) -> None:
        self._shared = shared

    def lane(self, request: Request, snapshot: Snapshot, route: Route | None, admitted: Admitted | None) -> Lane:
        """For a request that may ask: its Host is ours, it comes from no web page, and whose it is is known."""
        lane = Lane(snapshot)
        if route is None or admitted is None or route.door is not Door.MCP or request.method != "POST":
            return lane
        media, endpoint, version = media_of(request), admitted.endpoint, version_header(request)
        lane.principal = admitted.principal
        if admitted.principal is not None:
            now = self._shared.clock()
            lane.until = now + min(admitted.principal.until - time.time(), REJUDGED)
        # Whether a call is traced depends on more than its head.
        if media.refusal is None and media.json and endpoint.upstream is None and self._shared.tracer is None:
            if version is not None and versions.header_is_modern(version):
                _settle_modern(lane, endpoint, request, version.decode("latin-1"))
            else:
                _settle_legacy(lane, endpoint, request, version)
        return lane

    async def call(self, request: Request, lane: Lane, endpoint: Endpoint, general: General) -> Reply:
        """The reply; by the general way where the request is not plain after all."""
        admitted = self._admit(request, lane, endpoint)
        if admitted is None:
            return await general(request)
        call, target, rendered, scope = admitted
        shared, session = self._shared, call.session
        until = min(call.deadline, call.started + target.plan.timeout)
        try:
            try:
                response = await target.send(rendered, until)
            except NetError as error:
                shaped = target.failed(error, rendered, until - call.started)
            else:
                shaped = target.shaped(response, rendered, scope)
            body = encode_answer(call, result_members(call, shaped))
        except (RpcError, CancelledError) as error:
            return alone(shared.finish(call, ended(call, error)))
        except Exception:
            log.exception("call %s: %s failed", call.call_id, call.method)
            return alone(shared.finish(call, broken(call)))
        finally:
            shared.admission.leave(call)
            if session is not None and call.identifier is not None:
                session.calls.pop(call.identifier, None)
        shared.observer.finished(call, call.asked, 200, shared.clock())
        return Reply(200, body, JSON_ONLY)

    def _admit(self, request: Request, lane: Lane, endpoint: Endpoint) -> Plain | None:
        """A call that is counted and can be cancelled, with the request to send; None where it is not plain."""
        plain = _plain(request.body, lane)
        if plain is None:
            return None
        shared, (identifier, params), version, session = self._shared, plain, lane.version, None
        if lane.session is not None:
            session = _plain_session(shared, endpoint, lane, identifier)
            if session is None:
                return None
            version = session.version
        entry = endpoint.catalog.tools.get(params.name)
        if entry is None or entry.plain is None:
            return None
        target, arguments = entry.plain, params.arguments or {}
        if entry.fill is not None:
            arguments = entry.fill(arguments)
        if not entry.is_valid(arguments):
            return None
        scope = {"args": arguments, "request": _NOTHING, "session": {"id": lane.session}}
        started, modern = shared.clock(), session is None
        if started >= lane.until:
            return None
        call = Call(endpoint, "", started, modern, version, lane.principal, request.address, _reads_nothing, session)
        try:
            rendered = target.render(scope)
            shared.admission.enter(call)
        except (RenderError, RpcError):
            return None
        call.call_id, call.identifier = shared.next_id(), identifier
        call.method, call.name, call.stop = "tools/call", entry.name, request.cancel
        if session is not None:
            session.calls[identifier] = call.cancel
        else:
            request.on_disconnect = call.cancel
        return call, target, rendered, scope


def _plain(body: bytes, lane: Lane) -> tuple[Id, PlainCall] | None:
    """Id and params of a call that wants nothing but its answer, and says what its head says."""
    raw = plain_call(body)
    params = decode_plain_call(raw[1]) if raw is not None else None
    if raw is None or params is None:
        return None
    meta = params.meta
    if meta is not UNSET and (meta.progress_token is not UNSET or meta.log_level is not UNSET):
        return None
    if lane.session is None and (
        meta is UNSET or meta.version != lane.version or meta.capabilities is UNSET or params.name != lane.name
    ):
        return None
    return raw[0], params


def _settle_modern(lane: Lane, endpoint: Endpoint, request: Request, version: str) -> None:
    headers = request.headers
    name = decode_value(headers.get(b"mcp-name", b""))
    if name and version in endpoint.offered and headers.get(b"mcp-method") == b"tools/call":
        lane.endpoint, lane.version, lane.name = endpoint, version, name


def _settle_legacy(lane: Lane, endpoint: Endpoint, request: Request, version: bytes | None) -> None:
    session = session_header(request)
    # As handshake._require_offered has it.
    if session and (version is None or version.decode("latin-1") >= endpoint.oldest):
        lane.endpoint, lane.session = endpoint, session


def _plain_session(shared: Conversations, endpoint: Endpoint, lane: Lane, identifier: int | str) -> Session | None:
    """The session, if it is this worker's, wants to be told nothing and can take one more call of that id."""
    session = shared.sessions.find(lane.session or "", endpoint.prefix, lane.principal)
    if session is None or session.via_sse or session.level is not None:
        return None
    calls = session.calls
    return None if identifier in calls or len(calls) >= session.MOST_CALLS else session


def _reads_nothing(kind: str, name: str) -> str | None:
    return None
