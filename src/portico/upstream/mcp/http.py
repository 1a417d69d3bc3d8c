"""An MCP server that is reached over streamable HTTP, in whichever era it speaks.

It is down when it cannot be reached; then it is tried again by itself, ever less often, until it answers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

from portico.net.errors import NetError
from portico.net.http_client import HttpClient
from portico.upstream.mcp.eras import Eras
from portico.upstream.mcp.handshake import OWN_HELLO, WrongEra
from portico.upstream.mcp.health import FIRST_PAUSE, later
from portico.upstream.mcp.http_place import Place
from portico.upstream.mcp.http_session import HttpSession
from portico.upstream.mcp.http_stateless import Stateless
from portico.upstream.mcp.shelf import Kept, Shelf
from portico.upstream.mcp.upstream import Conversation, Era, Health, Hello, McpSpec


class HttpUpstream:
    """`client` carries calls, `streams` what has no end. Build it inside the event loop."""

    def __init__(self, spec: McpSpec, client: HttpClient, streams: HttpClient) -> None:
        self.spec = spec
        self._place = Place(spec, client, streams, self._changed)
        self._eras = Eras(spec.protocol, self._probe)
        self._modern = Stateless(self._place)
        self._shelf = Shelf(self._place.target.name, spec.idle_timeout, self._open, self._place.spawn)
        self._reviving: asyncio.Task[None] | None = None

    @property
    def health(self) -> Health:
        return self._place.life.health

    async def eras(self) -> frozenset[Era]:
        return await self._eras.all()

    async def speaks(self, era: Era, hello: Hello | None = None) -> bool:
        return await self._eras.speak(era, hello)

    async def legacy(self, hello: Hello) -> Conversation:
        return await self._shelf.take(hello)

    async def modern(self) -> Conversation:
        if not self._modern.greeting:
            await self._modern.open(self.spec.timeout)
        return self._modern

    @property
    def is_legacy(self) -> bool:
        return self._eras.is_legacy

    @property
    def ready(self) -> Conversation | None:
        return self._modern if self._modern.greeting and self._eras.knows("modern") else None

    async def warm(self) -> None:
        if await self.speaks("modern"):
            await self.modern()
        else:
            (await self.legacy(OWN_HELLO)).release()

    async def close(self, patience: float = 0.0) -> None:
        self._place.closed = True
        await self._place.work.ended(patience)
        if self._reviving is not None:
            self._reviving.cancel()
        await self._shelf.close()
        await self._place.close()

    async def _open(self, hello: Hello) -> Kept:
        session = HttpSession(self._place, hello, cast(Callable[[HttpSession], None], self._shelf.give_back))
        await session.open(self.spec.timeout)
        return session

    async def _probe(self, era: Era, hello: Hello | None) -> bool:
        try:
            if era == "modern":
                await self._modern.open(self.spec.timeout)
            else:
                (await self._shelf.take(hello or OWN_HELLO)).release()
        except WrongEra:
            return False
        return True

    def _changed(self, up: bool) -> None:
        if not up:
            if self._reviving is None or self._reviving.done():
                self._reviving = asyncio.get_running_loop().create_task(self._revive())
            return
        if self._reviving is not None and self._reviving is not asyncio.current_task():
            self._reviving.cancel()
        self._eras.forget()
        self._modern.reconnected()
        for session in self._shelf:
            self._place.spawn(cast(HttpSession, session).check())

    async def _revive(self) -> None:
        pause = FIRST_PAUSE
        while self._place.life.is_down:
            await asyncio.sleep(pause)
            pause = later(pause)
            try:
                await self._modern.open(self.spec.timeout)
            except NetError:
                # Any answer has made it serving; no answer leaves it down.
                continue
