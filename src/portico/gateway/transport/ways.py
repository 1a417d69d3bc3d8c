"""The ways of relayed calls that are known, and with them nearly all that such a call has to find out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from weakref import ref

from portico.gateway.exchange import Request
from portico.gateway.protocol.aggregate.merging import Owner
from portico.gateway.protocol.aggregate.view import View
from portico.gateway.protocol.relay import carried
from portico.gateway.routing.endpoint import Endpoint
from portico.gateway.session.session import Session
from portico.gateway.transport.client_values import reader
from portico.gateway.transport.conversation import Conversations
from portico.gateway.transport.lane import Lane
from portico.gateway.transport.mirrors import mirrors_of
from portico.gateway.transport.way import Way
from portico.upstream.mcp.direct import Direct
from portico.upstream.mcp.http_stateless import header_value
from portico.upstream.mcp.upstream import McpSpec

Able = Mapping[str, Any]
MOST = 64
"""Tools of one session whose ways are kept."""


class Ways:
    def __init__(self, shared: Conversations) -> None:
        self._shared = shared

    def find(
        self, request: Request, lane: Lane, endpoint: Endpoint, session: Session | None, name: str, able: Able
    ) -> Way | None:
        """None where anything has to be asked or opened first. `able` are the capabilities of a modern client."""
        owner, spec = None, endpoint.upstream
        if spec is None:
            owner = self._owner(request, lane, endpoint, session, name, able)
            if owner is None:
                return None
            spec = owner.include.spec
        found: Any = self._shared.relay.ready(spec, session, able)
        key = name if owner is not None else ""
        way = lane.ways.get(key)
        if way is not None and way.conversation is found and way.owner is owner:
            return way
        if not isinstance(found, Direct):
            return None
        if len(lane.ways) >= MOST:
            lane.ways.clear()
        way = lane.ways[key] = Way(spec, owner, found, _headers(request, lane, endpoint, spec, owner), endpoint.timeout)
        return way

    def _owner(
        self, request: Request, lane: Lane, endpoint: Endpoint, session: Session | None, name: str, able: Able
    ) -> Owner | None:
        """As it is known: who is not known is asked for by the general way."""
        view = self.view(request, lane, endpoint, session, able)
        return None if view is None else view.merged.owners["tools"].get(name)

    def view(
        self, request: Request, lane: Lane, endpoint: Endpoint, session: Session | None, able: Able
    ) -> View | None:
        """What such a client sees of the servers of this endpoint."""
        aggregates, view = self._shared.aggregates, lane.view()
        if aggregates is None:
            return None
        if view is None or not view.is_open or able != lane.able:
            read = reader(request, guarded=endpoint.guard is not None)
            version, capabilities = (lane.version, able) if session is None else (session.version, session.capabilities)
            view = aggregates.view(endpoint, version, session, capabilities, read)
            lane.view, lane.able = ref(view), able
        view.used = self._shared.clock()
        return view


def _headers(request: Request, lane: Lane, endpoint: Endpoint, spec: McpSpec, owner: Owner | None) -> Mapping[str, str]:
    """What of the head goes on to the server, which may know the tool by another name."""
    read = reader(request, guarded=endpoint.guard is not None)
    if lane.session is not None:
        return carried(spec, read, ())
    found = carried(spec, read, mirrors_of(request))
    return found if owner is None else found | {"mcp-name": header_value(owner.own)}
