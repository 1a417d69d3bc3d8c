"""An MCP server behind channels, which is what stdio and SSE have in common: one for the modern era, and one for every
legacy hello, because both a process and an SSE connection settle on an era, and on a client, with their first message.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from portico.net.errors import NetError, TimedOut
from portico.upstream.mcp.eras import Eras
from portico.upstream.mcp.handshake import OWN_HELLO, WrongEra
from portico.upstream.mcp.home import Home
from portico.upstream.mcp.shared import SharedConversation
from portico.upstream.mcp.shelf import Kept, Shelf
from portico.upstream.mcp.upstream import Conversation, Era, Health, Hello, McpSpec


class ChannelUpstream:
    def __init__(self, home: Home) -> None:
        self.spec: McpSpec = home.spec
        self._home = home
        self._eras = Eras(home.spec.protocol, self._probe)
        self._modern = SharedConversation(home, None)
        self._shelf = Shelf(home.name, home.spec.idle_timeout, self._open, home.spawn)

    @property
    def health(self) -> Health:
        return self._home.life.health

    async def eras(self) -> frozenset[Era]:
        return await self._eras.all()

    async def speaks(self, era: Era, hello: Hello | None = None) -> bool:
        return await self._eras.speak(era, hello)

    async def legacy(self, hello: Hello) -> Conversation:
        return await self._shelf.take(hello)

    async def modern(self) -> Conversation:
        if not self._modern.greeting:
            await self._modern.open()
        return self._modern

    @property
    def is_legacy(self) -> bool:
        return self._eras.is_legacy

    @property
    def ready(self) -> Conversation | None:
        return self._modern if self._modern.greeting and self._eras.knows("modern") else None

    async def warm(self) -> None:
        if self.spec.protocol == "legacy":
            # Its handshake waits for the first client, whose capabilities it is to hear.
            self._home.keep(await self._home.channel())
        elif await self.speaks("modern"):
            await self.modern()

    async def close(self, patience: float = 0.0) -> None:
        self._home.closed = True
        await self._home.work.ended(patience)
        await self._modern.end()
        await self._shelf.close()
        await self._home.close()

    async def _open(self, hello: Hello) -> Kept:
        conversation = SharedConversation(
            self._home, hello, cast(Callable[[SharedConversation], None], self._shelf.give_back)
        )
        await conversation.open()
        return conversation

    async def _probe(self, era: Era, hello: Hello | None) -> bool:
        try:
            if era == "modern":
                await self._modern.open()
            else:
                (await self._shelf.take(hello or OWN_HELLO)).release()
        except WrongEra:
            return False
        except NetError as error:
            # One that kept silent has been asked in both ways.
            if era == "legacy" or isinstance(error, TimedOut):
                raise
            # A legacy server may die of a question before its handshake. If it does so of any start, this raises.
            return not await self._eras.speak("legacy", hello)
        return True
