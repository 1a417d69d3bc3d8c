"""The short way of `tools/call` of a REST tool."""

from __future__ import annotations

import logging
from asyncio import CancelledError
from typing import Any

from portico.gateway.exchange import JSON_ONLY, Reply, Request
from portico.gateway.protocol.answer import encode_answer
from portico.gateway.protocol.call import Call
from portico.gateway.protocol.dispatch import broken, ended
from portico.gateway.protocol.params import decode_plain_call
from portico.gateway.protocol.tools import result_members
from portico.gateway.routing.endpoint import Endpoint
from portico.gateway.transport.conversation import Conversations, alone
from portico.gateway.transport.lane import General, Lane, plain_session, reads_nothing
from portico.net.errors import NetError
from portico.template import RenderError
from portico.upstream.http_api import HttpTool
from portico.upstream.http_request import RenderedRequest
from portico.wire.errors import RpcError
from portico.wire.plain_request import CALL, PlainRequest

Sending = tuple[Call, HttpTool, RenderedRequest, dict[str, Any]]
log = logging.getLogger("portico.call")
_NOTHING: dict[str, Any] = {}


class RestShortcut:
    def __init__(self, shared: Conversations) -> None:
        self._shared = shared

    async def call(
        self, request: Request, lane: Lane, endpoint: Endpoint, plain: PlainRequest, general: General
    ) -> Reply:
        """The reply; by the general way where the request is not plain after all."""
        sending = self._admit(request, lane, endpoint, plain)
        if sending is None:
            return await general(request)
        call, target, rendered, scope = sending
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

    def _admit(self, request: Request, lane: Lane, endpoint: Endpoint, plain: PlainRequest) -> Sending | None:
        """A call that is counted and can be cancelled, with the request to send; None where it is not plain."""
        _, identifier, raw = plain
        params = decode_plain_call(raw)
        if params is None or not lane.agrees(CALL, params.name, params.meta):
            return None
        shared, version, session = self._shared, lane.version, None
        if lane.session is not None:
            session = plain_session(shared, endpoint, lane, identifier)
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
        call = Call(endpoint, "", started, modern, version, lane.principal, request.address, reads_nothing, session)
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
