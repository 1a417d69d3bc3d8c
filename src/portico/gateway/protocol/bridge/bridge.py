"""Makes, for a client of one era and a server of the other, the conversation in which they understand each other."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any
from weakref import WeakKeyDictionary

from portico import __version__
from portico.gateway.protocol.bridge.held import Held
from portico.gateway.protocol.bridge.lanes import Lanes
from portico.gateway.protocol.bridge.legacy_client import LegacyClient
from portico.gateway.protocol.bridge.members import encode
from portico.gateway.protocol.bridge.modern_client import MOST_CAPABILITIES, ModernClient, hello_of
from portico.gateway.protocol.bridge.parked import ASKABLE
from portico.gateway.protocol.bridge.parking import Parking, ParkingLimits
from portico.gateway.protocol.bridge.plain_client import PlainClient
from portico.gateway.protocol.bridge.routed import Routed
from portico.gateway.protocol.bridge.seal import Seal, binding
from portico.gateway.protocol.bridge.subscription import Subscription
from portico.gateway.protocol.bridge.translation import who_asks
from portico.gateway.protocol.call import Call
from portico.gateway.protocol.params import UNSET
from portico.upstream.mcp.upstream import Conversation, Hello, McpSpec, McpUpstream

ASKED = frozenset(ASKABLE.values())
MOST_KINDS = 64
DEFAULTS = ParkingLimits()
_SELF = who_asks(b"{}", encode({"name": "portico", "version": __version__}))

Find = Callable[[McpSpec], McpUpstream | None]


class Bridge:
    """`find` knows the upstreams that run; `alone` says that no other worker serves."""

    def __init__(
        self,
        find: Find,
        seal: Seal,
        alone: bool = True,
        clock: Callable[[], float] = time.monotonic,
        limits: ParkingLimits = DEFAULTS,
    ) -> None:
        self.parking = Parking(seal, limits)
        self._lanes = Lanes()
        self._find = find
        self._seal = seal
        self._alone = alone
        self._clock = clock
        self._held: WeakKeyDictionary[Conversation, Held] = WeakKeyDictionary()
        self._plain: WeakKeyDictionary[McpUpstream, dict[bytes, PlainClient]] = WeakKeyDictionary()
        self._lasting: dict[asyncio.Future[None], McpUpstream] = {}
        self._subscriptions: dict[Conversation, Subscription] = {}

    def elsewhere(self, state: object) -> str | None:
        """The other worker that a `requestState` is for, if it is for one."""
        ticket = self._seal.open(state)
        return ticket.worker if ticket is not None and ticket.worker != self._seal.worker else None

    async def legacy_client(self, upstream: McpUpstream, hello: Hello, client: bytes) -> LegacyClient:
        """The conversation of a legacy session with a modern server."""
        conversation = await upstream.modern()
        return LegacyClient(
            conversation, hello, client, lambda: self._subscription(conversation), self._seal.lifetime, self._clock
        )

    async def modern_client(self, upstream: McpUpstream, call: Call) -> ModernClient:
        """The conversation of one modern call with a legacy server."""
        spec, endpoint, meta = upstream.spec, call.endpoint, call.params.meta
        capabilities = {} if meta is UNSET or meta.capabilities is UNSET else meta.capabilities
        hello = hello_of(capabilities, call.call_id if spec.session == "perClient" else None)
        client = ModernClient(
            upstream,
            hello,
            self._holding,
            self.parking,
            self._lanes,
            self._binding(call, spec),
            call.principal.id if call.principal is not None else call.address,
            endpoint.oldest,
            b',"ttlMs":%d,"cacheScope":"private"' % endpoint.ttl_ms,
            lambda: self._lasts(upstream),
        )
        await client.open()
        return client

    def ready(self, upstream: McpUpstream, capabilities: Mapping[str, Any]) -> PlainClient | None:
        """The short way of a modern client to a server that is known to be a legacy one, where the client cannot be
        asked: one that can may have to wait."""
        if not upstream.is_legacy or not ASKED.isdisjoint(capabilities):
            return None
        key = encode(capabilities) if capabilities else b"{}"
        mine = self._plain.setdefault(upstream, {})
        found = mine.get(key)
        if found is None and len(key) <= MOST_CAPABILITIES and upstream.spec.session == "shared":
            if len(mine) >= MOST_KINDS:
                mine.clear()
            found = mine[key] = PlainClient(upstream, capabilities)
        return found

    def routes(self, spec: McpSpec) -> bool:
        """Whether what a modern server keeps in its `requestState` is good in one worker only."""
        return not self._alone and spec.kind == "stdio"

    def routed(self, conversation: Conversation, spec: McpSpec, call: Call) -> Conversation:
        """A modern call's conversation with a modern server."""
        if not self.routes(spec):
            return conversation
        return Routed(conversation, self._seal, self._binding(call, spec))

    def sweep(self) -> None:
        """End the subscriptions whose upstream is not the one that serves any more."""
        self._lanes.tidy()
        for future, upstream in tuple(self._lasting.items()):
            if self._find(upstream.spec) is not upstream and not future.done():
                future.set_result(None)

    def end(self) -> None:
        """End all subscriptions."""
        for future in tuple(self._lasting):
            if not future.done():
                future.set_result(None)

    def _lasts(self, upstream: McpUpstream) -> asyncio.Future[None]:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._lasting[future] = upstream
        future.add_done_callback(self._lasting.pop)
        return future

    def _binding(self, call: Call, spec: McpSpec) -> Callable[[str, bytes | None], bytes]:
        principal = call.principal.id if call.principal is not None else None

        def bind(method: str, params: bytes | None) -> bytes:
            return binding(principal, call.endpoint.prefix, spec.name, method, params)

        return bind

    def _holding(self, conversation: Conversation) -> Held:
        found = self._held.get(conversation)
        if found is None:
            found = self._held[conversation] = Held(conversation, self._clock)
        return found

    def _subscription(self, conversation: Conversation) -> Subscription:
        found = self._subscriptions.get(conversation)
        if found is None:
            found = self._subscriptions[conversation] = Subscription(
                conversation, _SELF, lambda: self._subscriptions.pop(conversation, None)
            )
        return found
