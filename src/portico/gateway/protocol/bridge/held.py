"""A legacy conversation that modern clients share: its log level, its subscriptions, and who is told of changes.

What modern clients say in each request, a legacy server is told once, for all who share the conversation.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar
from weakref import ref

from portico.gateway.protocol.bridge.members import encode, members_of
from portico.gateway.session.session import LEVELS
from portico.net.errors import NetError
from portico.upstream.mcp.hearing import RECONNECTED
from portico.upstream.mcp.upstream import Conversation, Hear, Heard

PATIENCE = 10.0
T = TypeVar("T")


class Watched:
    """A resource that `count` subscriptions want to be told of; `told` says that the server knows it."""

    def __init__(self) -> None:
        self.count = 0
        self.told = False
        self.settling = asyncio.Lock()


class Held:
    """It lives as long as the conversation does, and does not keep it alive."""

    def __init__(self, conversation: Conversation, clock: Callable[[], float]) -> None:
        self.capabilities = members_of(members_of(conversation.greeting).get("capabilities"))
        self._conversation = ref(conversation)
        self._clock = clock
        self._level = len(LEVELS)
        self._levelling = asyncio.Lock()
        self._watched: dict[str, Watched] = {}
        self.listening: set[Hear] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        conversation.listen(self._hear)

    async def log_from(self, level: str) -> None:
        """Have the server log from that level on. Another client may want more, so it is never raised again: what a
        client did not ask for is kept from it."""
        wanted = LEVELS.index(level)
        if wanted >= self._level or "logging" not in self.capabilities:
            return
        # A client that leaves meanwhile leaves it unknown what the server has heard, so this goes on without it.
        await asyncio.shield(self._spawn(self._lower(level, wanted)))

    async def _lower(self, level: str, wanted: int) -> None:
        async with self._levelling:
            if wanted < self._level and await self._ask("logging/setLevel", {"level": level}):
                self._level = wanted

    async def subscribe(self, uri: str) -> bool:
        """Whether the server tells of changes of this resource; count it until `unsubscribe`."""
        watched = self._watched.setdefault(uri, Watched())
        watched.count += 1
        granted = False
        try:
            granted = await asyncio.shield(self._spawn(self._settle(uri, watched)))
        finally:
            if not granted:
                self.unsubscribe(uri)
        return granted

    def unsubscribe(self, uri: str) -> None:
        watched = self._watched[uri]
        watched.count -= 1
        if not watched.count:
            self._spawn(self._settle(uri, watched))

    async def _settle(self, uri: str, watched: Watched) -> bool:
        """Have the server know what is wanted now, one request after the other, so that none overtakes another."""
        async with watched.settling:
            if watched.count and not watched.told:
                watched.told = await self._ask("resources/subscribe", {"uri": uri})
            elif not watched.count and watched.told:
                watched.told = False
                await self._ask("resources/unsubscribe", {"uri": uri})
        if not watched.count and not watched.told and self._watched.get(uri) is watched:
            del self._watched[uri]
        return watched.told

    def _hear(self, heard: Heard) -> None:
        # A question that concerns no call finds no client here: nobody claims it, so it is refused.
        if heard.answer is not None:
            return
        if heard.method == RECONNECTED:
            self._spawn(self._again())
        for hear in tuple(self.listening):
            hear(heard)

    async def _again(self) -> None:
        """The server is back and remembers nothing."""
        level, self._level = self._level, len(LEVELS)
        if level < len(LEVELS):
            await self.log_from(LEVELS[level])
        for uri, watched in tuple(self._watched.items()):
            watched.told = False
            await self._settle(uri, watched)

    async def _ask(self, method: str, params: dict[str, str]) -> bool:
        conversation = self._conversation()
        if conversation is None:
            return False
        deadline = self._clock() + PATIENCE
        with contextlib.suppress(NetError):
            outcome = await conversation.request(method, encode(params), identifier="portico-held", deadline=deadline)
            return not outcome.is_error
        return False

    def _spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
