"""The short ways of the most frequent requests: `tools/call` and `tools/list`, with nothing unusual about them.

One coroutine does what Entry, StreamableHttp, Stateless or Handshake, dispatch and the method do between them. It can,
because what follows from the head of a request is found out once (`Lane`). A short way refuses nothing: whatever is not
plain goes the general way from its beginning, before anything has happened. Of a call of a REST tool it saves 12 of
47 µs (docs/performance.md); an Entry that is given none behaves alike.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from portico.gateway.caller import Admitted
from portico.gateway.exchange import Reply, Request
from portico.gateway.routing.endpoint import Endpoint
from portico.gateway.routing.table import Route
from portico.gateway.runtime.snapshot import Snapshot
from portico.gateway.transport.conversation import Conversations
from portico.gateway.transport.lane import General, Lane, lane_of
from portico.gateway.transport.list_shortcut import ListShortcut
from portico.gateway.transport.relay_shortcut import RelayShortcut
from portico.gateway.transport.rest_shortcut import RestShortcut
from portico.gateway.transport.ways import Ways
from portico.wire.plain_request import LIST, plain_request


class Shortcut:
    def __init__(self, shared: Conversations) -> None:
        ways = Ways(shared)
        self._shared = shared
        self._rest = RestShortcut(shared)
        self._relay = RelayShortcut(shared, ways)
        self._list = ListShortcut(shared, ways)

    def lane(self, request: Request, snapshot: Snapshot, route: Route | None, admitted: Admitted | None) -> Lane:
        return lane_of(self._shared, request, snapshot, route, admitted)

    def call(self, request: Request, lane: Lane, endpoint: Endpoint, general: General) -> Coroutine[Any, Any, Reply]:
        """The reply, to be awaited; by the general way where the request is not plain after all."""
        plain = plain_request(request.body)
        if plain is None:
            return general(request)
        if plain[0] == LIST:
            return self._list.call(request, lane, endpoint, plain, general)
        if endpoint.upstream is not None:
            return self._relay.call(request, lane, endpoint, plain, general)
        if endpoint.aggregate is not None:
            # What belongs to none of its servers may be a tool of the document.
            return self._relay.call(
                request, lane, endpoint, plain, lambda request: self._rest.call(request, lane, endpoint, plain, general)
            )
        return self._rest.call(request, lane, endpoint, plain, general)
