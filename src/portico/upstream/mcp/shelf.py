"""The legacy conversations with one upstream, by the hello that opened them: shared, counted, ended when idle."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, Protocol

from portico.net.errors import Busy
from portico.upstream.mcp.flight import Flight
from portico.upstream.mcp.upstream import Conversation, Hello

MOST = 1_000


class Kept(Conversation, Protocol):
    holders: int
    hello: Hello

    async def end(self) -> None: ...


class Shelf:
    """`open` makes a conversation, `spawn` runs its end in the background."""

    def __init__(
        self,
        name: str,
        idle: float,
        open: Callable[[Hello], Coroutine[Any, Any, Kept]],
        spawn: Callable[[Coroutine[Any, Any, None]], object],
    ) -> None:
        self._name = name
        self._idle = idle
        self._open = open
        self._spawn = spawn
        self._kept: dict[Hello, Kept] = {}
        self._opening: dict[Hello, Flight[Kept]] = {}
        self._timers: dict[Hello, asyncio.TimerHandle] = {}

    def __iter__(self) -> Iterator[Kept]:
        return iter(tuple(self._kept.values()))

    async def take(self, hello: Hello) -> Kept:
        """A conversation to hold; its `release` gives it back."""
        found = self._kept.get(hello)
        if found is None:
            found = await self._opened(hello)
        found.holders += 1
        timer = self._timers.pop(hello, None)
        if timer is not None:
            timer.cancel()
        return found

    def give_back(self, kept: Kept) -> None:
        kept.holders -= 1
        if kept.holders > 0:
            return
        if kept.hello.owner is not None:
            self._end(kept)
        else:
            self._let_idle(kept)

    async def close(self) -> None:
        for flight in tuple(self._opening.values()):
            flight.cancel()
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        kept, self._kept = tuple(self._kept.values()), {}
        await asyncio.gather(*(one.end() for one in kept))

    def _let_idle(self, kept: Kept) -> None:
        if self._kept.get(kept.hello) is not kept:
            return
        loop = asyncio.get_running_loop()
        self._timers[kept.hello] = loop.call_later(self._idle, self._end, kept)

    def _end(self, kept: Kept) -> None:
        timer = self._timers.pop(kept.hello, None)
        if timer is not None:
            timer.cancel()
        if kept.holders <= 0 and self._kept.get(kept.hello) is kept:
            del self._kept[kept.hello]
            self._spawn(kept.end())

    async def _opened(self, hello: Hello) -> Kept:
        flight = self._opening.get(hello)
        if flight is None:
            self._make_room()
            flight = self._opening[hello] = Flight()
        return await flight.join(lambda: self._fill(hello))

    async def _fill(self, hello: Hello) -> Kept:
        try:
            kept = await self._open(hello)
        finally:
            self._opening.pop(hello, None)
        self._kept[hello] = kept
        # Whoever wanted it may have gone away meanwhile.
        self._let_idle(kept)
        return kept

    def _make_room(self) -> None:
        if len(self._kept) + len(self._opening) < MOST:
            return
        for hello in self._timers:
            self._end(self._kept[hello])
            return
        raise Busy(f"{self._name} has {MOST} conversations open, and no more are opened at once")
