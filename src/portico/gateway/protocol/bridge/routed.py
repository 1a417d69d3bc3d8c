"""A modern server that each worker runs a process of its own of: a retry has to reach the process that asked.

Servers may seal their `requestState` with a key that they make when they start, so it says which worker it is for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from portico.gateway.protocol.bridge.members import body_of, encode, members_of, raw, value_of
from portico.gateway.protocol.bridge.parking import over, refused
from portico.gateway.protocol.bridge.seal import Seal
from portico.upstream.mcp.upstream import Conversation, Era, Hear, Outcome
from portico.wire.jsonrpc import Id


class Routed:
    era: Era = "modern"

    def __init__(self, conversation: Conversation, seal: Seal, bind: Callable[[str, bytes | None], bytes]) -> None:
        self.greeting = conversation.greeting
        self.listen = conversation.listen
        self.notify = conversation.notify
        self.release = conversation.release
        self._conversation = conversation
        self._seal = seal
        self._bind = bind

    async def request(
        self,
        method: str,
        params: bytes | None,
        *,
        identifier: Id,
        deadline: float,
        hear: Hear | None = None,
        headers: Mapping[str, str] = {},
    ) -> Outcome:
        sent = params
        if params is not None and b"requestState" in params:
            found = members_of(params)
            if "requestState" in found:
                found["requestState"] = raw(self._opened(method, params, value_of(found["requestState"])))
                sent = encode(found)
        outcome = await self._conversation.request(
            method, sent, identifier=identifier, deadline=deadline, hear=hear, headers=headers
        )
        if outcome.is_error or b"requestState" not in outcome.member:
            return outcome
        found = members_of(body_of(outcome))
        state = value_of(found.get("requestState"))
        if value_of(found.get("resultType")) != "input_required" or not isinstance(state, str):
            return outcome
        found["requestState"] = raw(self._seal.close("", 0, self._bound(method, params), state))
        return Outcome(b'"result":' + encode(found), False)

    def _opened(self, method: str, params: bytes, state: object) -> str:
        ticket = self._seal.open(state)
        if ticket is None or ticket.bound != self._bound(method, params) or ticket.number:
            raise refused()
        if ticket.worker != self._seal.worker:
            raise over()
        return ticket.state

    def _bound(self, method: str, params: bytes | None) -> bytes:
        try:
            return self._bind(method, params)
        except ValueError:
            raise refused() from None
