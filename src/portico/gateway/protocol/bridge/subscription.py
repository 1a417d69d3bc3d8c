"""The one `subscriptions/listen` at a modern server for all legacy sessions of a worker that are relayed to it.

It is opened anew, before the old one is given up, when a resource is wanted that it does not name.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import Any

from portico.gateway.protocol.bridge.members import encode, members_of, value_of
from portico.net.errors import NetError
from portico.upstream.mcp.health import FIRST_PAUSE, later
from portico.upstream.mcp.hearing import RECONNECTED
from portico.upstream.mcp.upstream import Conversation, Hear, Heard

ACKNOWLEDGED = "notifications/subscriptions/acknowledged"
MOST_URIS = 1_000
_SUBSCRIPTION = "io.modelcontextprotocol/subscriptionId"
_KINDS = ("tools", "prompts", "resources")


class Seat:
    """One session's place: where it is told, and the resources that it wants to be told of."""

    def __init__(self, hear: Hear) -> None:
        self.hear = hear
        self.uris: set[str] = set()


class Subscription:
    """`meta` says who asks: the gateway, since many share it. `on_empty` is called when the last has left."""

    def __init__(self, conversation: Conversation, meta: Mapping[str, Any], on_empty: Callable[[], object]) -> None:
        self._conversation = conversation
        self._meta = meta
        self._on_empty = on_empty
        self._seats: set[Seat] = set()
        self._number = 0
        self._task: asyncio.Task[None] | None = None
        self._acknowledged: asyncio.Future[frozenset[str]] | None = None
        self._asked: frozenset[str] = frozenset()
        self._granted: frozenset[str] = frozenset()
        self._changing = asyncio.Lock()
        capabilities = members_of(members_of(conversation.greeting).get("capabilities"))
        self._wanted: dict[str, Any] = {
            f"{kind}ListChanged": True
            for kind in _KINDS
            if value_of(members_of(capabilities.get(kind)).get("listChanged")) is True
        }
        self._end_hearing = conversation.listen(self._hear_standing)

    def join(self, hear: Hear) -> Seat:
        seat = Seat(hear)
        self._seats.add(seat)
        if self._task is None and self._wanted:
            self._open(frozenset())
        return seat

    def leave(self, seat: Seat) -> None:
        self._seats.discard(seat)
        if not self._seats:
            self._end_hearing()
            if self._task is not None:
                self._task.cancel()
            self._on_empty()

    async def subscribe(self, seat: Seat, uri: str, patience: float) -> bool:
        """Whether the server tells of changes of this resource."""
        if len(self._all()) >= MOST_URIS:
            return False
        async with self._changing:
            if uri not in self._asked or uri not in self._granted:
                before = self._task
                self._open(self._all() | {uri})
                try:
                    async with asyncio.timeout(patience):
                        assert self._acknowledged is not None
                        await asyncio.shield(self._acknowledged)
                except TimeoutError:
                    return False
                finally:
                    if before is not None:
                        before.cancel()
        if uri in self._granted:
            seat.uris.add(uri)
        return uri in self._granted

    def _all(self) -> frozenset[str]:
        return frozenset().union(*(seat.uris for seat in self._seats))

    def _open(self, uris: frozenset[str]) -> None:
        loop = asyncio.get_running_loop()
        self._asked = uris
        self._acknowledged = loop.create_future()
        self._task = loop.create_task(self._run(uris, self._acknowledged))

    async def _run(self, uris: frozenset[str], acknowledged: asyncio.Future[frozenset[str]]) -> None:
        """For as long as anybody wants it; what ends by itself is opened again, ever less often."""
        wanted = self._wanted | ({"resourceSubscriptions": sorted(uris)} if uris else {})
        params = encode({"notifications": wanted, "_meta": self._meta})
        pause = 0.0
        while True:
            self._number += 1
            again = pause > 0.0

            def hear(heard: Heard, again: bool = again) -> None:
                if heard.method != ACKNOWLEDGED:
                    self._spread(heard)
                    return
                self._granted = _granted(heard)
                if not acknowledged.done():
                    acknowledged.set_result(self._granted)
                elif again:
                    self._spread(Heard(RECONNECTED, None))

            with contextlib.suppress(NetError):
                await self._conversation.request(
                    "subscriptions/listen",
                    params,
                    identifier=f"portico-listen-{self._number}",
                    deadline=float("inf"),
                    hear=hear,
                )
            pause = max(later(pause), FIRST_PAUSE)
            await asyncio.sleep(pause)

    def _hear_standing(self, heard: Heard) -> None:
        if heard.answer is None:
            self._spread(heard)

    def _spread(self, heard: Heard) -> None:
        params = members_of(heard.params)
        meta = members_of(params.pop("_meta", None))
        meta.pop(_SUBSCRIPTION, None)
        told: dict[str, Any] = {**params, "_meta": meta} if meta else dict(params)
        heard = Heard(heard.method, encode(told) if told else None)
        uri = value_of(params.get("uri")) if heard.method == "notifications/resources/updated" else None
        for seat in tuple(self._seats):
            if heard.method != "notifications/resources/updated" or _concerns(seat.uris, uri):
                seat.hear(heard)


def _concerns(uris: set[str], uri: Any) -> bool:
    """A server may tell of a part of what was subscribed to."""
    return isinstance(uri, str) and (uri in uris or any(uri.startswith(one.rstrip("/") + "/") for one in uris))


def _granted(heard: Heard) -> frozenset[str]:
    found = value_of(members_of(members_of(heard.params).get("notifications")).get("resourceSubscriptions"))
    return frozenset(uri for uri in found if isinstance(uri, str)) if isinstance(found, list) else frozenset()
