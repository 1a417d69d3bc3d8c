"""The short way of a `tools/call` that is relayed to an MCP server, and answered before the server says anything else.

It needs no task: the answer of the server becomes the reply at once. Where something else comes first, the call goes
on in a task, as on the general way, and its reply is a stream. Like the short way of REST tools it refuses nothing:
whatever is not plain goes the general way from its beginning, before anything has happened.
"""

from __future__ import annotations

import logging
from asyncio import CancelledError, Task
from collections.abc import Mapping
from typing import Any

from portico.gateway.exchange import JSON_ONLY, Reply, Request
from portico.gateway.protocol.call import Call
from portico.gateway.protocol.dispatch import Answer, Method, broken, ended
from portico.gateway.protocol.params import able_of, decode_plain_relayed_call
from portico.gateway.protocol.relay import answered, unreachable
from portico.gateway.routing.endpoint import Endpoint
from portico.gateway.session.session import Session
from portico.gateway.transport.conversation import Conversations, alone
from portico.gateway.transport.handshake import Handshake
from portico.gateway.transport.lane import General, Lane, plain_session, reads_nothing
from portico.gateway.transport.stateless import Stateless
from portico.gateway.transport.way import Way
from portico.gateway.transport.ways import Ways
from portico.net.errors import NetError
from portico.upstream.mcp.direct import Rest
from portico.upstream.mcp.envelope import mentions
from portico.upstream.mcp.upstream import Heard, Outcome
from portico.wire.errors import RpcError
from portico.wire.jsonrpc import encode_response
from portico.wire.plain_request import CALL, PlainRequest

Passed = tuple[Call, Way, bytes]
log = logging.getLogger("portico.call")


class RelayShortcut:
    def __init__(self, shared: Conversations, ways: Ways) -> None:
        self._shared = shared
        self._stateless = Stateless(shared)
        self._handshake = Handshake(shared)
        self._ways = ways

    async def call(
        self, request: Request, lane: Lane, endpoint: Endpoint, plain: PlainRequest, general: General
    ) -> Reply:
        """The reply; by the general way where the request is not plain after all."""
        admitted = self._admit(request, lane, endpoint, plain)
        if admitted is None:
            return await general(request)
        call, way, params = admitted
        shared, identifier = self._shared, call.identifier
        assert identifier is not None
        first: Outcome | Rest | None = None
        try:
            first = outcome = await way.conversation.begin(
                way.prepared,
                params,
                identifier=identifier,
                deadline=call.started + way.patience,
                hear=lambda heard: self._hear(call, way, heard),
            )
        except NetError as error:
            return alone(shared.finish(call, ended(call, unreachable(call, error))))
        except (RpcError, CancelledError) as error:
            return alone(shared.finish(call, ended(call, error)))
        except Exception:
            log.exception("call %s: %s failed", call.call_id, call.method)
            return alone(shared.finish(call, broken(call)))
        finally:
            if not isinstance(first, Task):
                self._leave(call)
        if isinstance(outcome, Task):
            return await self._follow(request, call, way, outcome)
        if way.owner is not None:
            outcome = way.outcome(outcome)
        if outcome.is_error:
            return alone(shared.finish(call, answered(call, outcome)))
        shared.observer.finished(call, "ok", 200, shared.clock())
        return Reply(200, encode_response(identifier, outcome.member), JSON_ONLY)

    def _hear(self, call: Call, way: Way, heard: Heard) -> None:
        aggregates = self._shared.aggregates
        if way.owner is not None and aggregates is not None:
            aggregates.hear(call, way.spec, heard)
        else:
            self._shared.relay.hear(call, heard)

    def _leave(self, call: Call) -> None:
        session = call.session
        self._shared.admission.leave(call)
        if session is not None and call.identifier is not None:
            session.calls.pop(call.identifier, None)

    async def _follow(self, request: Request, call: Call, way: Way, rest: Rest) -> Reply:
        """The server says something before its answer, or takes its time to write it: a stream may be needed."""

        async def follow(call: Call) -> Answer:
            return answered(call, way.outcome(await self._shared.relay.follow(call, rest)))

        if call.session is None:
            return await self._stateless.relayed(call, Method(follow), request)
        return await self._handshake.relayed(call, Method(follow), call.session)

    def _admit(self, request: Request, lane: Lane, endpoint: Endpoint, plain: PlainRequest) -> Passed | None:
        """A call that is counted and can be cancelled; None where it is not plain."""
        _, identifier, params = plain
        asked = _asked(params, lane)
        if asked is None:
            return None
        name, able = asked
        shared, session, version = self._shared, None, lane.version
        if lane.session is not None:
            session = plain_session(shared, endpoint, lane, identifier)
            if session is None or not _can_be_asked_apart(session):
                return None
            version = session.version
        way = self._ways.find(request, lane, endpoint, session, name, able)
        started = shared.clock()
        if way is None or started >= lane.until:
            return None
        modern = session is None
        call = Call(endpoint, "", started, modern, version, lane.principal, request.address, reads_nothing, session)
        try:
            shared.admission.enter(call)
        except RpcError:
            return None
        call.call_id, call.identifier = shared.next_id(), identifier
        call.method, call.stop = "tools/call", request.cancel
        if way.owner is not None:
            call.name = name[:256]
        if session is not None:
            session.calls[identifier] = call.cancel
        else:
            request.on_disconnect = call.cancel
        return call, way, way.params(params)


def _asked(raw: bytes, lane: Lane) -> tuple[str, Mapping[str, Any]] | None:
    """Tool and client capabilities of a call that wants its answer only, and says what its head says."""
    # A token that stands there twice, or with an escape, might be read elsewhere than here.
    if mentions(raw, b"progressToken"):
        return None
    params = decode_plain_relayed_call(raw)
    if params is None or not lane.agrees(CALL, params.name, params.meta):
        return None
    return params.name, able_of(params.meta)


def _can_be_asked_apart(session: Session) -> bool:
    """Whether the client has a stream for what the upstream asks outside of a call, or cannot be asked at all. Over
    HTTP that would else become a part of the reply, which the short way cannot begin before its answer."""
    return not session.capabilities or session.standing.is_open
