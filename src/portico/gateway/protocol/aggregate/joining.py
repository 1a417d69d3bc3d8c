"""Legacy sessions and the servers that they see: each hears of every one, whoever fetched the lists that it is shown.

As long as a session is joined to a server, the server tells it when its lists change.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from functools import partial

from portico.gateway.protocol.aggregate.errands import Errands
from portico.gateway.protocol.aggregate.hearing import UPDATED, changed_kinds, public_update
from portico.gateway.protocol.aggregate.view import Part, View
from portico.gateway.protocol.call import Call
from portico.gateway.protocol.relay import Relay
from portico.gateway.routing.endpoint import Endpoint
from portico.gateway.session.session import Session
from portico.net.errors import NetError
from portico.upstream.mcp.upstream import Conversation, Heard, McpSpec
from portico.wire.errors import RpcError
from portico.wire.jsonrpc import encode_notification

Served = Callable[[Call], Endpoint | None]
log = logging.getLogger("portico.aggregate")


def unjoined(session: Session, parts: Iterable[Part]) -> list[McpSpec]:
    """The servers whose lists a session is shown without being told of their changes."""
    upstreams = session.upstreams
    return [part.include.spec for part in parts if part.lists is not None and part.include.spec not in upstreams]


class Joining:
    """`served` gives the endpoint as the client of a call sees it now. `expire` is told of servers whose lists are not
    what they were, and which view is asking for them just now."""

    def __init__(
        self, relay: Relay, served: Served, errands: Errands, expire: Callable[[McpSpec, View | None], None]
    ) -> None:
        self._relay = relay
        self._served = served
        self._errands = errands
        self._expire = expire
        self._joined: dict[McpSpec, set[str]] = {}

    def join(self, call: Call, parts: Iterable[Part]) -> None:
        """Begin to join the call's session to every server whose lists it is shown."""
        session = call.session
        if session is not None:
            for spec in unjoined(session, parts):
                self._errands.run((session.identifier, spec), self._join(call, spec))

    async def conversation(self, call: Call, spec: McpSpec, asking: View | None = None) -> Conversation:
        """The conversation in which the call reaches a server; from now on its session is joined."""
        session = call.session
        conversation = await self._relay.conversation(call, spec, partial(self.stand, call, spec))
        if session is not None and not session.ended:
            joined = self._joined.setdefault(spec, set())
            if session.identifier not in joined:
                if not joined:
                    # Nobody heard what changed since the last one left.
                    self._expire(spec, asking)
                joined.add(session.identifier)
                session.when_ended(lambda: self._left(spec, session.identifier))
        return conversation

    def hear(self, call: Call, spec: McpSpec, heard: Heard) -> None:
        """What a server says ahead of the answer to a call, which may concern others than the call."""
        if heard.method != UPDATED:
            if changed_kinds(heard):
                self._expire(spec, None)
            self._relay.hear(call, heard)
        elif call.session is not None:
            self.stand(call, spec, call.session, heard)

    def stand(self, call: Call, spec: McpSpec, session: Session, heard: Heard) -> None:
        """What a server says to a session that concerns no call of it. `call` is the one that joined it, perhaps before
        a reload."""
        if changed_kinds(heard):
            self._expire(spec, None)
        if heard.method != UPDATED or heard.answer is not None:
            self._relay.stand(session, heard)
            return
        endpoint = self._served(call)
        aggregate = endpoint.aggregate if endpoint is not None else None
        includes = [include for include in aggregate.includes if include.spec == spec] if aggregate is not None else []
        for uri in public_update(includes, heard.params, session.subscriptions):
            session.standing.send(encode_notification(UPDATED, {"uri": uri}))

    async def _join(self, call: Call, spec: McpSpec) -> None:
        try:
            await self.conversation(call, spec)
        except (NetError, RpcError) as error:
            log.info("%s: %s", call.endpoint.prefix, error.message)

    def _left(self, spec: McpSpec, session: str) -> None:
        joined = self._joined.get(spec, set())
        joined.discard(session)
        if not joined:
            self._joined.pop(spec, None)
            self._expire(spec, None)
