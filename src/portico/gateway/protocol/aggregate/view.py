"""What the clients of one kind see of an aggregate, and how long that holds.

Clients see alike when they speak in one era, can do the same and send the same forwarded headers: an upstream cannot
tell them apart, so that one fetch serves them all. What is `private` to an authorization that the upstream sees never
reaches another. Each included server is a part of its own: it is fetched, fails and comes back without the others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from portico.gateway.protocol.aggregate.lists import Lists
from portico.gateway.protocol.aggregate.merging import Merged, merge
from portico.gateway.routing.endpoint import Endpoint
from portico.gateway.routing.include import Include
from portico.net.errors import NetError
from portico.wire.errors import RpcError

LIST_PATIENCE = 10.0
LONGEST = 300.0
"""Lists are asked for anew after so many seconds, whatever the server says of them."""
SHORTEST = 1.0
RETRY = 5.0
"""A server that failed is left alone for so many seconds, unless it is heard to be back."""

MOST_ROUNDS = 4
"""How often lists are asked for that change while they are."""

Fetch = Callable[["Part"], Awaitable[Lists]]
"""Asks one included server; raises a NetError or RpcError whose message names it."""


@dataclass(slots=True)
class Part:
    """One included server. `until` is when its lists must be asked for anew; `promised` is how long the server itself
    said that they hold, for which they are shown even while it is away. `failed` is when it was last found to be away,
    or heard to be back. `known` outlives it all: it tells whose a name was."""

    include: Include
    lists: Lists | None = None
    until: float = 0.0
    promised: float = 0.0
    failure: str = ""
    failed: float = 0.0
    hears: asyncio.Event = field(default_factory=asyncio.Event)
    """Set while a change of its lists would be told."""
    fetching: asyncio.Task[None] | None = None
    asked: float = 0.0
    following: asyncio.Task[None] | None = None
    known: dict[str, str] = field(default_factory=dict)

    def holds(self, now: float) -> bool:
        """Whether it can be shown as it is. Where somebody asks just now others wait with him: they were told of the
        same change. Nobody waits for a server that is away, or slow."""
        is_new = self.is_asked and not self.failure and now < self.asked + LIST_PATIENCE
        return self.until > now and not is_new

    @property
    def is_asked(self) -> bool:
        return self.fetching is not None and not self.fetching.done()

    def deafen(self) -> None:
        """Nobody would tell of a change any more."""
        if self.hears.is_set():
            self.hears.clear()
            self.until = 0.0

    def close(self) -> None:
        for task in (self.fetching, self.following):
            if task is not None:
                task.cancel()


class View:
    """`is_open` until nobody uses it any more, or something else is offered; `attended` counts the subscriptions that
    are told of its changes."""

    def __init__(self, endpoint: Endpoint, modern: bool, clock: Callable[[], float]) -> None:
        aggregate = endpoint.aggregate
        assert aggregate is not None
        self.endpoint = endpoint
        self.modern = modern
        self.is_open = True
        self.used = clock()
        self.attended = 0
        self.parts = tuple(Part(include) for include in aggregate.includes)
        self._aggregate = aggregate
        self._clock = clock
        self._merged: Merged | None = None

    @property
    def merged(self) -> Merged:
        """The catalog as far as it is known now; made anew when a part has changed."""
        if self._merged is None:
            lists = [part.lists for part in self.parts]
            self._merged = merge(self._aggregate, self.endpoint.catalog, lists, self.modern)
            for part in self.parts:
                if part.lists is not None:
                    part.known = {
                        public: owner.own
                        for public, owner in self._merged.owners["tools"].items()
                        if owner.include is part.include
                    }
        return self._merged

    def is_fresh(self, now: float) -> bool:
        return all(part.holds(now) for part in self.parts)

    async def refresh(self, fetch: Fetch, patience: float, late: Callable[[], None]) -> None:
        """Ask the servers whose lists no longer hold, all at once, and wait for `patience` at most. What comes after
        that is announced by `late`."""
        now = self._clock()
        tasks = [self._begin(part, fetch, late) for part in self.parts if not part.holds(now)]
        if tasks:
            await asyncio.wait(tasks, timeout=max(0.0, patience))
        for part in self.parts:
            if part.is_asked and part.lists is None:
                self.lose(part, f"{part.include.spec.name} has not answered yet; it is waited for")

    def leave(self) -> None:
        self.attended -= 1

    def close(self) -> None:
        self.is_open = False
        for part in self.parts:
            part.close()

    def _begin(self, part: Part, fetch: Fetch, late: Callable[[], None]) -> asyncio.Task[None]:
        if part.fetching is None or part.fetching.done():
            part.fetching = asyncio.get_running_loop().create_task(self._fetch(part, fetch, late))
        return part.fetching

    async def _fetch(self, part: Part, fetch: Fetch, late: Callable[[], None]) -> None:
        try:
            lists = await self._settled(part, fetch)
        except (NetError, RpcError) as error:
            self.lose(part, error.message)
            return
        before, now = part.lists, self._clock()
        if part.until:
            lasts = LONGEST if lists.ttl is None or part.hears.is_set() else min(max(lists.ttl, SHORTEST), LONGEST)
            part.until = now + lasts
        part.promised = now + min(lists.ttl or 0.0, LONGEST)
        part.lists, failed, part.failure = lists, part.failure, ""
        if before != lists:
            self._merged = None
        if failed:
            late()

    async def _settled(self, part: Part, fetch: Fetch) -> Lists:
        """Lists that did not change while they were asked for; whoever was told so and asks waits for the same task."""
        part.asked = self._clock()
        for _ in range(MOST_ROUNDS - 1):
            part.until = self._clock() + LONGEST
            lists = await fetch(part)
            if part.until:
                return lists
        part.until = self._clock() + LONGEST
        return await fetch(part)

    def lose(self, part: Part, reason: str) -> bool:
        """The server cannot be reached. Whether clients see less for it: what it promised to hold is kept so long."""
        now, before = self._clock(), part.lists
        part.failure, part.failed, part.until = reason, now, now + RETRY
        if part.promised <= now:
            part.lists = None
        self._merged = None if part.lists is not before else self._merged
        return part.lists is not before
