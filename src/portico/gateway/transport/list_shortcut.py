"""The short way of `tools/list`: its first page, as it is known."""

from __future__ import annotations

from portico.gateway.exchange import JSON_ONLY, Reply, Request
from portico.gateway.protocol.aggregate.joining import unjoined
from portico.gateway.protocol.answer import answer_pieces, cacheable, encode_answer
from portico.gateway.protocol.call import Call
from portico.gateway.protocol.params import able_of, decode_plain_list
from portico.gateway.routing.catalog import Listing
from portico.gateway.routing.endpoint import Endpoint
from portico.gateway.session.session import Session
from portico.gateway.transport.conversation import Conversations
from portico.gateway.transport.lane import General, Lane, plain_session, reads_nothing
from portico.gateway.transport.ways import Able, Ways
from portico.net.outbox import LARGE
from portico.wire.errors import RpcError
from portico.wire.plain_request import LIST, PlainRequest

_METHOD = LIST.decode()


class ListShortcut:
    def __init__(self, shared: Conversations, ways: Ways) -> None:
        self._shared = shared
        self._ways = ways

    async def call(
        self, request: Request, lane: Lane, endpoint: Endpoint, plain: PlainRequest, general: General
    ) -> Reply:
        """The reply; by the general way where the request is not plain after all, or a server has to be asked."""
        reply = self._reply(request, lane, endpoint, plain)
        return await general(request) if reply is None else reply

    def _reply(self, request: Request, lane: Lane, endpoint: Endpoint, plain: PlainRequest) -> Reply | None:
        _, identifier, raw = plain
        params = decode_plain_list(raw)
        if params is None or not lane.agrees(LIST, "", params.meta):
            return None
        shared, session, version = self._shared, None, lane.version
        if lane.session is not None:
            session = plain_session(shared, endpoint, lane, identifier)
            if session is None:
                return None
            version = session.version
        started, modern = shared.clock(), session is None
        listing = self._listing(request, lane, endpoint, session, able_of(params.meta), started)
        if listing is None or started >= lane.until:
            return None
        call = Call(endpoint, "", started, modern, version, lane.principal, request.address, reads_nothing, session)
        try:
            shared.admission.enter(call)
        except RpcError:
            return None
        shared.admission.leave(call)
        call.call_id, call.identifier, call.method = shared.next_id(), identifier, _METHOD
        members = cacheable(call, listing.page(modern, None))
        shared.observer.finished(call, "ok", 200, shared.clock())
        if len(members) < LARGE:
            return Reply(200, encode_answer(call, members), JSON_ONLY)
        before, *more = answer_pieces(call, members)
        return Reply(200, before, JSON_ONLY, more=tuple(more))

    def _listing(
        self, request: Request, lane: Lane, endpoint: Endpoint, session: Session | None, able: Able, now: float
    ) -> Listing | None:
        """None where a server has to be asked or joined, or none answers and the document has nothing itself."""
        if endpoint.upstream is not None:
            return None
        if endpoint.aggregate is None:
            return endpoint.catalog.lists[_METHOD]
        view = self._ways.view(request, lane, endpoint, session, able)
        if view is None or not view.is_fresh(now) or not any(view.merged.sources.values()):
            return None
        if session is not None and unjoined(session, view.parts):
            return None
        return view.merged.lists[_METHOD]
