"""A legacy client's conversation with a modern server.

The session is ours: its greeting, level and subscriptions. Each request says who asks. What the server wants to know
before it answers, the client is asked as servers of its era do, and the request is sent again with the answers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, cast

import msgspec

from portico.gateway.protocol.bridge.asking import NoAnswer, ask, without_questions
from portico.gateway.protocol.bridge.members import (
    Members,
    body_of,
    encode,
    error,
    members_of,
    raw,
    result,
    value_of,
)
from portico.gateway.protocol.bridge.parameters import Mirrors, lacks_headers, mirrored, mirrors_in
from portico.gateway.protocol.bridge.parked import MOST_ROUNDS
from portico.gateway.protocol.bridge.subscription import Seat, Subscription
from portico.gateway.protocol.bridge.translation import LEVEL, greeting, legacy_outcome, who_asks
from portico.gateway.session.session import LEVELS
from portico.upstream.mcp.direct import Direct, Rest
from portico.upstream.mcp.http_stateless import header_value
from portico.upstream.mcp.upstream import Conversation, Era, Hear, Hello, Outcome
from portico.wire import errors
from portico.wire.jsonrpc import Id

FIRST_LEVEL = "info"
MOST_PAGES = 100
MOST_NAMES = 1_000
PATIENCE = 10.0


class Prepared:
    """What goes with calls that have the same headers, by the name of the tool, which a modern server wants in one."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self.headers = headers
        self._lines: dict[str, Any] = {}

    def lines(self, direct: Direct, name: str) -> Any:
        found = self._lines.get(name)
        if found is None:
            if len(self._lines) >= MOST_NAMES:
                self._lines.clear()
            found = self._lines[name] = direct.prepared({**self.headers, "Mcp-Name": header_value(name)})
        return found


class LegacyClient:
    """`subscribed` gives the subscription that all sessions with this server share; an answer of the client is waited
    for as long as `patience`, in seconds."""

    era: Era = "legacy"

    def __init__(
        self,
        conversation: Conversation,
        hello: Hello,
        client: bytes,
        subscribed: Callable[[], Subscription],
        patience: float,
        clock: Callable[[], float],
    ) -> None:
        self.greeting = greeting(conversation.greeting, hello.version)
        self._conversation = conversation
        self._patience = patience
        self._clock = clock
        self._subscribed = subscribed
        self._subscription: Subscription | None = None
        self._seat: Seat | None = None
        self._meta = who_asks(hello.capabilities, client)
        self._meta[LEVEL] = raw(FIRST_LEVEL)
        self._head = encode(self._meta)
        self._mirrors: Mirrors = {}

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
        if method == "logging/setLevel":
            return self._set_level(params)
        if method in ("resources/subscribe", "resources/unsubscribe"):
            return await self._subscribe(method, params)
        return await self._rounds(None, method, params, identifier, deadline, hear, headers)

    def prepared(self, headers: Mapping[str, str]) -> Prepared:
        return Prepared(headers)

    async def begin(
        self, prepared: Prepared, params: bytes, *, identifier: Id, deadline: float, hear: Hear
    ) -> Outcome | Rest:
        """See `Direct.begin`. What takes more than one request, or headers of its own, goes on in a task."""
        first: Outcome | Rest | None = None
        name = _name(params)
        if name not in self._mirrors and isinstance(name, str):
            direct = cast(Direct, self._conversation)
            first = await direct.begin(
                prepared.lines(direct, name),
                self._complete(params, {}),
                identifier=identifier,
                deadline=deadline,
                hear=without_questions(hear),
            )
            if isinstance(first, Outcome) and not first.is_error and b"input_required" not in first.member:
                return legacy_outcome("tools/call", first, members_of(body_of(first)))
        rounds = self._rounds(first, "tools/call", params, identifier, deadline, hear, prepared.headers)
        return asyncio.get_running_loop().create_task(rounds)

    async def _rounds(
        self,
        first: Outcome | Rest | None,
        method: str,
        params: bytes | None,
        identifier: Id,
        deadline: float,
        hear: Hear | None,
        headers: Mapping[str, str],
    ) -> Outcome:
        """Ask until the server wants to know nothing more. `first` is what came of the first request, once made."""
        added: Members = {}
        listed = False
        for number in range(MOST_ROUNDS + 1):
            if first is not None:
                outcome, first = (first if isinstance(first, Outcome) else await first), None
            else:
                asked_as = identifier if number == 0 else f"{identifier}~{number}"
                outcome = await self._conversation.request(
                    method,
                    self._complete(params, added),
                    identifier=asked_as,
                    deadline=deadline,
                    hear=without_questions(hear),
                    headers=mirrored(self._mirrors, method, params, headers),
                )
            if outcome.is_error and not listed and method == "tools/call" and lacks_headers(outcome):
                listed = True
                await self._learn(deadline, headers)
                continue
            found = members_of(body_of(outcome))
            if outcome.is_error or value_of(found.get("resultType")) != "input_required":
                if method == "tools/list" and b"x-mcp-header" in outcome.member:
                    self._mirrors |= mirrors_in(found.get("tools"))
                return legacy_outcome(method, outcome, found)
            if number == MOST_ROUNDS:
                break
            began = self._clock()
            try:
                added = await ask(found, hear, number, self._patience)
            except NoAnswer as refusal:
                return Outcome(refusal.member, True)
            deadline += self._clock() - began
        return error(
            errors.INTERNAL_ERROR, f"The server asked for input {MOST_ROUNDS} times in one call, and is asked no more."
        )

    async def notify(self, method: str, params: bytes | None) -> None:
        """A modern server is told nothing: it hears all that it needs in each request."""

    def listen(self, hear: Hear) -> Callable[[], None]:
        self._subscription = self._subscribed()
        self._seat = self._subscription.join(hear)
        return self._leave

    def release(self) -> None:
        self._conversation.release()

    def _leave(self) -> None:
        if self._subscription is not None and self._seat is not None:
            self._subscription.leave(self._seat)
            self._subscription = self._seat = None

    def _complete(self, params: bytes | None, added: Members) -> bytes:
        """The params with who asks, and with what the server wanted to know."""
        if not added and (params is None or params.strip() in (b"{}", b"")):
            return b'{"_meta":%b}' % self._head
        if not added and params is not None and params[:1] == b"{" and b"_meta" not in params and b"\\u" not in params:
            return b'{"_meta":%b,%b' % (self._head, params[1:])
        found = members_of(params)
        # What stands in a client's own `_meta` under the protocol's names is not its to say in this era.
        found["_meta"] = raw({**members_of(found.get("_meta")), **self._meta})
        return encode(found | added)

    async def _learn(self, deadline: float, headers: Mapping[str, str]) -> None:
        """Which arguments the server wants in headers, as its list of tools says."""
        cursor: dict[str, Any] = {}
        for page in range(MOST_PAGES):
            outcome = await self._conversation.request(
                "tools/list",
                self._complete(encode(cursor), {}),
                identifier=f"portico-tools-{page}",
                deadline=deadline,
                headers=headers,
            )
            found = members_of(body_of(outcome))
            self._mirrors |= mirrors_in(found.get("tools"))
            after = value_of(found.get("nextCursor"))
            if outcome.is_error or not isinstance(after, str):
                return
            cursor = {"cursor": after}

    def _set_level(self, params: bytes | None) -> Outcome:
        level = value_of(members_of(params).get("level"))
        if level not in LEVELS:
            return error(errors.INVALID_PARAMS, f"Unknown log level; known are {', '.join(LEVELS)}.")
        self._meta[LEVEL] = raw(level)
        self._head = encode(self._meta)
        return result({})

    async def _subscribe(self, method: str, params: bytes | None) -> Outcome:
        uri = value_of(members_of(params).get("uri"))
        if not isinstance(uri, str) or self._seat is None or self._subscription is None:
            return error(errors.INVALID_PARAMS, "The params lack `uri`.")
        if method == "resources/unsubscribe":
            # It is left out when the subscription is next opened; until then nobody is told of it.
            self._seat.uris.discard(uri)
            return result({})
        if await self._subscription.subscribe(self._seat, uri, PATIENCE):
            return result({})
        text = "The server tells of no changes of this resource."
        return error(errors.RESOURCE_NOT_FOUND, text, {"uri": uri})


def _name(params: bytes) -> str | None:
    try:
        return _decode_named(params).name
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None


class _Named(msgspec.Struct):
    name: str


_decode_named = msgspec.json.Decoder(_Named).decode
