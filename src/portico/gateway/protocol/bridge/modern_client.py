"""A modern client's conversation with a legacy server.

The server's session is shared by clients that can do the same, so that it asks nobody for what he cannot answer. What
it asks during a call parks the call (parked.py); what it tells goes to whoever has a subscription.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import msgspec

from portico import __version__
from portico.gateway.protocol.bridge.held import Held
from portico.gateway.protocol.bridge.lanes import Lane, Lanes
from portico.gateway.protocol.bridge.listening import listen
from portico.gateway.protocol.bridge.members import (
    body_of,
    encode,
    error_member,
    members_of,
    result,
    value_of,
)
from portico.gateway.protocol.bridge.parked import ASKABLE, MOST_QUESTIONS, Parked
from portico.gateway.protocol.bridge.parking import Parking, refused
from portico.gateway.protocol.bridge.translation import (
    LEVEL,
    discovery,
    identity_of,
    modern_outcome,
    without_protocol,
)
from portico.gateway.session.session import LEVELS
from portico.upstream.mcp.upstream import Conversation, Era, Hear, Heard, Hello, McpUpstream, Outcome
from portico.wire import errors, versions
from portico.wire.jsonrpc import Id

MOST_CAPABILITIES = 16_384
_MAY_WAIT = frozenset(("tools/call", "prompts/get", "resources/read"))
_URL_ELICITATION_REQUIRED = -32042
# No client's name: the session is that of many. It also keeps it apart from the sessions of legacy clients, which
# settle levels and subscriptions by themselves.
_CLIENT = encode({"name": "portico", "title": "Clients of 2026-07-28", "version": __version__})


class ModernClient:
    """`held` gives what is kept with a legacy conversation; `bind` digests a method and its params; `until_replaced`
    gives what is done when the upstream is not the one that serves any more."""

    era: Era = "modern"

    def __init__(
        self,
        upstream: McpUpstream,
        hello: Hello,
        held: Callable[[Conversation], Held],
        parking: Parking,
        lanes: Lanes,
        bind: Callable[[str, bytes | None], bytes],
        owner: str,
        oldest: str,
        hints: bytes,
        until_replaced: Callable[[], asyncio.Future[None]],
    ) -> None:
        self._greeting = b""
        self._upstream = upstream
        self._hello = hello
        self._held = held
        self._parking = parking
        self._lanes = lanes
        self._bind = bind
        self._owner = owner
        self._oldest = oldest
        self._hints = hints
        self._until_replaced = until_replaced
        self._server: msgspec.Raw | None = None
        self._can = {name for name in members_of(hello.capabilities) if name in ASKABLE.values()}

    @property
    def greeting(self) -> bytes:
        return discovery(self._greeting, self._oldest, self._hints)

    async def open(self) -> None:
        shared = Hello(self._hello.version, self._hello.capabilities, self._hello.client)
        conversation = await self._upstream.legacy(shared)
        self._greeting = conversation.greeting
        self._server = identity_of(conversation.greeting)
        conversation.release()

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
        if method == "server/discover":
            return Outcome(b'"result":' + self.greeting, False)
        if method == "subscriptions/listen":
            return await listen(self._shared, params, identifier, hear, self._until_replaced)
        kept, meta = without_protocol(params)
        level = value_of(meta.get(LEVEL))
        hear = _quiet(hear, level)
        token = meta.get("progressToken")
        may_wait = method in _MAY_WAIT and self._can
        state = members_of(params).get("requestState") if params and b"requestState" in params else None
        if state is not None:
            if method not in _MAY_WAIT:
                raise refused()
            parked = self._parking.take(value_of(state), self._bound(method, params))
            parked.answer(members_of(params).get("inputResponses"))
            return await self._turn(method, parked, hear, token)
        bound = self._bound(method, params) if may_wait else b""
        lane = self._lanes.free(self._upstream.spec, self._hello) if may_wait else Lane(None)
        conversation, close = await self._enter(lane, level)
        headers = {name: value for name, value in headers.items() if not name.lower().startswith("mcp-")}

        def ask(hear: Hear) -> Coroutine[Any, Any, Outcome]:
            return conversation.request(
                method, kept, identifier=identifier, deadline=deadline, hear=hear, headers=headers
            )

        if not may_wait:
            try:
                outcome = await ask(refusing(hear))
            finally:
                close()
            return modern_outcome(method, outcome, self._server, self._hints)
        parked = self._parking.new(self._owner, self._upstream.spec, bound, self._can, lane)
        parked.begin(ask(parked.hear), close)
        return self._asked_elsewhere(await self._turn(method, parked, hear, token), params)

    async def notify(self, method: str, params: bytes | None) -> None:
        """Modern clients have nothing to tell a server."""

    def listen(self, hear: Hear) -> Callable[[], None]:
        """What concerns no request goes to subscriptions alone."""
        return lambda: None

    def release(self) -> None:
        """Each request holds what it needs."""

    async def _shared(self) -> tuple[Conversation, Held]:
        conversation = await self._upstream.legacy(self._hello)
        return conversation, self._held(conversation)

    async def _enter(self, lane: Lane, level: Any) -> tuple[Conversation, Callable[[], None]]:
        """The lane's conversation, which logs from that level on at least, and what leaves it."""
        leaving = contextlib.ExitStack()
        with leaving:
            lane.calls += 1
            leaving.callback(lane.left)
            conversation = await self._upstream.legacy(self._in(lane))
            leaving.callback(conversation.release)
            held = self._held(conversation)
            if isinstance(level, str) and level in LEVELS:
                await held.log_from(level)
            return conversation, leaving.pop_all().close

    def _in(self, lane: Lane) -> Hello:
        hello = self._hello
        if lane.owner is None or hello.owner is not None:
            return hello
        return Hello(hello.version, hello.capabilities, hello.client, lane.owner)

    def _bound(self, method: str, params: bytes | None) -> bytes:
        try:
            return self._bind(method, params)
        except ValueError:
            raise refused() from None

    async def _turn(self, method: str, parked: Parked, hear: Hear | None, token: bytes | msgspec.Raw | None) -> Outcome:
        outcome = await parked.turn(hear, bytes(token) if token is not None else None)
        if outcome is not None:
            return modern_outcome(method, outcome, self._server, self._hints)
        asked = parked.requests()
        state = self._parking.park(parked)
        found: dict[str, object] = {"resultType": "input_required", "inputRequests": asked, "requestState": state}
        return Outcome(b'"result":' + encode(found), False)

    def _asked_elsewhere(self, outcome: Outcome, params: bytes | None) -> Outcome:
        """A server of 2025-11-25 may refuse a call until the client has been somewhere (client/elicitation: URL
        Elicitation Required Error). The call is over, so that a retry is a call like the first."""
        if not outcome.is_error or "elicitation" not in self._can or (params and b"inputResponses" in params):
            return outcome
        found = members_of(body_of(outcome))
        listed = value_of(members_of(found.get("data")).get("elicitations"))
        if value_of(found.get("code")) != _URL_ELICITATION_REQUIRED or not isinstance(listed, list) or not listed:
            return outcome
        asked = {
            f"input-{number}": {"method": "elicitation/create", "params": one}
            for number, one in enumerate(listed[:MOST_QUESTIONS], 1)
        }
        return result({"resultType": "input_required", "inputRequests": asked})


def hello_of(capabilities: Any, owner: str | None) -> Hello:
    """What a legacy server is told of a modern client: what it can do. `owner` keeps its session to one call."""
    known: dict[str, Any] = dict(capabilities) if isinstance(capabilities, dict) else {}
    if isinstance(known.get("roots"), dict):
        # Modern clients do not tell when their roots change.
        known["roots"] = {}
    encoded = msgspec.json.encode(known, order="sorted")
    return Hello(versions.LATEST_LEGACY, encoded if len(encoded) <= MOST_CAPABILITIES else b"{}", _CLIENT, owner)


def _quiet(hear: Hear | None, level: Any) -> Hear | None:
    """Log messages reach a client that asked for them in this request, from the level on that it asked for."""
    if hear is None:
        return None
    least = LEVELS.index(level) if isinstance(level, str) and level in LEVELS else len(LEVELS)

    def quiet(heard: Heard) -> None:
        if heard.method == "notifications/elicitation/complete":
            return
        if heard.method == "notifications/message":
            said = value_of(members_of(heard.params).get("level"))
            if said not in LEVELS or LEVELS.index(said) < least:
                return
        hear(heard)

    return quiet


def refusing(hear: Hear | None) -> Hear:
    """For requests during which a client cannot be asked."""

    def refuse(heard: Heard) -> None:
        if heard.answer is not None:
            heard.answer(error_member(errors.METHOD_NOT_FOUND, "This client cannot be asked here."))
        elif hear is not None:
            hear(heard)

    return refuse
