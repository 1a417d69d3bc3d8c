"""A legacy conversation that modern clients share: its log level, its subscriptions, and who is told of changes.

What modern clients say in each request, a legacy server is told once, for all who share the conversation.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable
from typing import Any
from weakref import ref

from portico.gateway.protocol.bridge.members import encode, members_of
from portico.gateway.session.session import LEVELS
from portico.net.errors import NetError
from portico.upstream.mcp.hearing import RECONNECTED
from portico.upstream.mcp.upstream import Conversation, Hear, Heard

PATIENCE = 10.0


class Held:
    """It lives as long as the conversation does, and does not keep it alive."""

    def __init__(self, conversation: Conversation, clock: Callable[[], float]) -> None:
        self.capabilities = members_of(members_of(conversation.greeting).get("capabilities"))
        self._conversation = ref(conversation)
        self._clock = clock
        self._level = len(LEVELS)
        self._uris: Counter[str] = Counter()
        self.listening: set[Hear] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        conversation.listen(self._hear)

    async def log_from(self, level: str) -> None:
        """Have the server log from that level on. Another client may want more, so it is never raised again: what a
        client did not ask for is kept from it."""
        wanted = LEVELS.index(level)
        if wanted >= self._level or "logging" not in self.capabilities:
            return
        before, self._level = self._level, wanted
        if not await self._ask("logging/setLevel", {"level": level}):
            self._level = before

    async def subscribe(self, uri: str) -> bool:
        """Whether the server tells of changes of this resource; count it until `unsubscribe`."""
        self._uris[uri] += 1
        if self._uris[uri] == 1 and not await self._ask("resources/subscribe", {"uri": uri}):
            self._drop(uri)
            return False
        return True

    def unsubscribe(self, uri: str) -> None:
        if self._drop(uri):
            self._spawn(self._ask("resources/unsubscribe", {"uri": uri}))

    def _drop(self, uri: str) -> bool:
        """Whether nobody wants it any more."""
        self._uris[uri] -= 1
        if self._uris[uri] > 0:
            return False
        del self._uris[uri]
        return True

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
        for uri in tuple(self._uris):
            await self._ask("resources/subscribe", {"uri": uri})

    async def _ask(self, method: str, params: dict[str, str]) -> bool:
        conversation = self._conversation()
        if conversation is None:
            return False
        deadline = self._clock() + PATIENCE
        with contextlib.suppress(NetError):
            outcome = await conversation.request(method, encode(params), identifier="portico-held", deadline=deadline)
            return not outcome.is_error
        return False

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
