"""What the conversations with one stdio or SSE server share: channels, health, and the patience to start it again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from portico.net.errors import NetError, Unreachable
from portico.upstream.mcp.channel import Channel, Open
from portico.upstream.mcp.health import Life, later
from portico.upstream.mcp.log import BoundedLog
from portico.upstream.mcp.upstream import McpSpec
from portico.upstream.mcp.work import Work

WORTH_WAITING = 2.0
STEADY = 60.0
SPARE_SECONDS = 60.0
RESTART_LIMIT = 10.0


class Home:
    """`limit` is how long the first start may take; a later one may take RESTART_LIMIT, or a multiple of the last."""

    def __init__(self, spec: McpSpec, name: str, life: Life, log: BoundedLog, open: Open, limit: float) -> None:
        self._loop = asyncio.get_running_loop()
        self.spec = spec
        self.name = name
        self.life = life
        self.log = log
        self.clock: Callable[[], float] = self._loop.time
        self.closed = False
        self.work = Work()
        self._open = open
        self._limit = self._most = limit
        self._live: dict[object, float] = {}
        self._spare: Channel | None = None
        self._pause = 0.0
        self._not_before = 0.0
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def limit(self) -> float:
        """The seconds that a start may take now."""
        return self._limit

    @property
    def wait(self) -> float:
        """The seconds until it may be started again."""
        return max(0.0, self._not_before - self.clock())

    def check_patience(self) -> None:
        """Raises Unreachable while it is not worth waiting for the next start."""
        if self.closed:
            raise Unreachable(f"{self.name} is not called any more: its configuration has changed")
        if self.wait > WORTH_WAITING:
            reason = self.life.health.reason
            raise Unreachable(f"{reason or self.name + ' is down'}; it is started again in {self.wait:.0f} s")

    async def channel(self) -> Channel:
        """A new one, as soon as patience allows."""
        self.check_patience()
        if self.wait:
            await asyncio.sleep(self.wait)
        if not self._live:
            self.life.starting("it is being started")
        try:
            return await self._open()
        except NetError as error:
            self.failed(error)
            raise

    def spare(self) -> Channel | None:
        """The channel on which a server said that it does not speak the modern era: it waits for a handshake."""
        found, self._spare = self._spare, None
        return found

    def keep(self, channel: Channel) -> None:
        if self._spare is not None or self.closed:
            self.spawn(channel.close())
            return
        self._spare = channel
        channel.mux = None
        channel.on_end = lambda error: self._forget(channel, error)
        if self.spec.start != "atStart":
            self._loop.call_later(min(SPARE_SECONDS, self.spec.idle_timeout), self._drop, channel)

    def began(self, conversation: object, seconds: float) -> None:
        self._live[conversation] = self.clock()
        self._limit = min(self._most, max(RESTART_LIMIT, 3 * seconds))
        self.life.serving()

    def failed(self, error: NetError) -> None:
        """It could not be started, or it ended by itself. Conversations that break together are one failure."""
        if not self.wait:
            self._pause = later(self._pause)
            self._not_before = self.clock() + self._pause
        if self._live:
            self.log.warning("one of its conversations broke: %s", error.message)
        else:
            self.life.down(error.message)

    def lost(self, conversation: object, error: NetError) -> None:
        began = self._live.pop(conversation, None)
        if began is not None and self.clock() - began >= STEADY:
            self._pause = 0.0
        self.failed(error)

    def rested(self, conversation: object) -> None:
        """A conversation was ended because nobody needs it."""
        self._live.pop(conversation, None)
        if not self._live and not self.life.is_down:
            self.life.rest("nobody needs it just now")

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        self.closed = True
        spare = self.spare()
        if spare is not None:
            self.spawn(spare.close())
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _forget(self, channel: Channel, error: NetError) -> None:
        if self._spare is channel:
            self._spare = None
            self.failed(error)

    def _drop(self, channel: Channel) -> None:
        if self._spare is channel:
            self._spare = None
            self.spawn(channel.close())
