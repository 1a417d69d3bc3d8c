"""A conversation over a channel that many share, in either era. When the channel breaks, another takes its place."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from portico.net.errors import NetError, TimedOut, Unreachable
from portico.upstream.mcp import envelope as envelope
from portico.upstream.mcp import handshake as handshake
from portico.upstream.mcp.channel import Channel
from portico.upstream.mcp.direct import Rest
from portico.upstream.mcp.flight import Flight
from portico.upstream.mcp.handshake import OWN_HELLO, WrongEra
from portico.upstream.mcp.hearing import Hearing
from portico.upstream.mcp.home import Home
from portico.upstream.mcp.mux import Mux
from portico.upstream.mcp.upstream import Era, Hear, Hello, Outcome
from portico.wire.jsonrpc import Id

SILENCE = 10.0


class SharedConversation:
    """Modern, or legacy with the hello that opened it; `give_back` is what `release` calls."""

    def __init__(
        self, home: Home, hello: Hello | None, give_back: Callable[[SharedConversation], None] = lambda _: None
    ) -> None:
        self.era: Era = "modern" if hello is None else "legacy"
        self.hello = hello or OWN_HELLO
        self.holders = 0
        self.greeting = b""
        self._home = home
        self._give_back = give_back
        self._hearing = Hearing(home.name, home.clock, None if hello is None else self._reply)
        self._channel: Channel | None = None
        self._mux: Mux | None = None
        self._starting: Flight[None] = Flight()
        self._reviving: asyncio.Task[None] | None = None
        self._idle: asyncio.TimerHandle | None = None
        self._ended = False

    async def open(self) -> None:
        """Raises WrongEra where the server answers that it does not speak the era."""
        if self._mux is None:
            await self._starting.join(self._start)

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
        if self._home.closed:
            self._home.check_patience()
        waited_for = method != "subscriptions/listen"
        if waited_for:
            self._home.work.enter()
        try:
            mux = self._mux or await self._ready(deadline)
            return await mux.request(
                method, params, identifier=identifier, deadline=deadline, hear=hear, headers=headers
            )
        finally:
            if waited_for:
                self._home.work.leave()

    def prepared(self, headers: Mapping[str, str]) -> Mapping[str, str]:
        return headers

    async def begin(
        self, prepared: Mapping[str, str], params: bytes, *, identifier: Id, deadline: float, hear: Hear
    ) -> Outcome | Rest:
        home, rest = self._home, None
        if home.closed:
            home.check_patience()
        home.work.enter()
        try:
            mux = self._mux or await self._ready(deadline)
            first = await mux.call(params, identifier=identifier, deadline=deadline, hear=hear, headers=prepared)
            if isinstance(first, Outcome):
                return first
            rest = first
            rest.add_done_callback(lambda _: home.work.leave())
            return rest
        finally:
            if rest is None:
                home.work.leave()

    async def notify(self, method: str, params: bytes | None) -> None:
        if self._channel is not None and method != "notifications/cancelled":
            self._channel.send(envelope.notification(method, params), None)

    def listen(self, hear: Hear) -> Callable[[], None]:
        return self._hearing.listen(hear)

    def release(self) -> None:
        self._give_back(self)

    async def end(self) -> None:
        self._ended = True
        self._starting.cancel()
        if self._reviving is not None:
            self._reviving.cancel()
        await self._rest()

    async def _ready(self, deadline: float) -> Mux:
        self._home.check_patience()
        late = TimedOut(f"{self._home.name} did not start before the deadline of the call")
        await self._starting.join(self._start, deadline=deadline, late=lambda: late)
        if self._mux is None:
            raise TimedOut(f"{self._home.name} ended as soon as it had started")
        return self._mux

    async def _start(self) -> None:
        home, began, again = self._home, self._home.clock(), bool(self.greeting)
        spare = home.spare() if self.era == "legacy" else None
        if spare is not None:
            try:
                await self._shake_hands(spare)
            except NetError:
                # It asked for more than this process would give after the question about its era.
                spare = None
        if spare is None:
            await self._shake_hands(await home.channel())
        home.began(self, home.clock() - began)
        if self.era == "modern":
            self._watch()
        if again:
            self._hearing.reconnected()

    async def _shake_hands(self, channel: Channel) -> None:
        home = self._home
        mux = Mux(home.name, self.era, channel.send, self._hearing, home.log)
        channel.mux = mux
        channel.on_end = self._broke
        self._channel = channel
        try:
            deadline = home.clock() + home.limit
            if self.era == "modern":
                self.greeting = await self._discover(mux, deadline)
            else:
                asked = mux.begin(0, deadline, None)
                outcome = await mux.ask(asked, handshake.initialize(asked.number, self.hello), may_cancel=False)
                self.greeting, _ = handshake.greeted(home.name, outcome)
                channel.send(handshake.INITIALIZED, None)
        except BaseException as error:
            self._give_up(channel, error)
            raise
        self._mux = mux

    def _give_up(self, channel: Channel, error: BaseException) -> None:
        home = self._home
        self._channel = None
        if isinstance(error, WrongEra) and self.era == "modern" and mux_is_free(channel):
            home.keep(channel)
            return
        channel.on_end = lambda _: None
        home.spawn(channel.close())
        if isinstance(error, NetError) and not isinstance(error, WrongEra):
            home.failed(error)

    async def _discover(self, mux: Mux, deadline: float) -> bytes:
        """Ask about the modern era. A server that keeps silent is asked in the legacy way as well (stdio: Backward
        Compatibility): whichever it answers first is what it speaks."""
        home, loop = self._home, asyncio.get_running_loop()
        asked = mux.begin(0, deadline, None)
        first = loop.create_task(mux.ask(asked, handshake.discover(asked.number), may_cancel=False))
        tasks = {first}
        try:
            patience = min(SILENCE, home.limit / 2)
            await asyncio.wait(tasks, timeout=patience)
            if not first.done():
                asked = mux.begin(0, deadline, None)
                initialize = handshake.initialize(asked.number, OWN_HELLO)
                tasks.add(loop.create_task(mux.ask(asked, initialize, may_cancel=False)))
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if not first.done():
                (second,) = tasks - {first}
                handshake.greeted(home.name, second.result())
                mux.greeted = True
                raise WrongEra(f"{home.name} answers initialize, but not server/discover", sent=True)
            return handshake.discovered(home.name, first.result())
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _broke(self, error: NetError) -> None:
        """The channel has ended by itself; the mux has failed what was under way."""
        if self._mux is None:
            return
        channel, self._channel, self._mux = self._channel, None, None
        if channel is not None:
            # A process that only closed its output goes on, until it is ended.
            self._home.spawn(channel.close())
        self._stop_watching()
        self._home.lost(self, error)
        if self.holders > 0 or self._home.spec.start == "atStart":
            self._reviving = asyncio.get_running_loop().create_task(self._revive())

    async def _revive(self) -> None:
        while self._mux is None and not self._ended:
            await asyncio.sleep(max(0.05, self._home.wait))
            try:
                await self.open()
            except NetError as error:
                self._home.log.warning("could not be started again: %s", error.message)

    def _reply(self, message: bytes) -> None:
        if self._channel is not None:
            try:
                self._channel.send(message, None)
            except NetError as error:
                self._home.log.warning("could not be answered: %s", error.message)

    async def _rest(self) -> None:
        channel, self._channel = self._channel, None
        mux, self._mux = self._mux, None
        self._stop_watching()
        if mux is not None:
            mux.end(Unreachable(f"{self._home.name} was ended, for nobody was to need it any more"))
        self._home.rested(self)
        if channel is not None:
            channel.on_end = lambda _: None
            await channel.close()

    def _watch(self) -> None:
        self._idle = asyncio.get_running_loop().call_later(self._home.spec.idle_timeout, self._look)

    def _look(self) -> None:
        """Stop when nobody has asked anything for so long."""
        mux, loop = self._mux, asyncio.get_running_loop()
        if mux is None or self._home.spec.start == "atStart":
            return
        left = mux.used + self._home.spec.idle_timeout - loop.time()
        if mux.is_idle and left <= 0:
            self._home.spawn(self._rest())
        else:
            self._idle = loop.call_later(max(left, 1.0), self._look)

    def _stop_watching(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None


def mux_is_free(channel: Channel) -> bool:
    """Whether no handshake was made on the channel."""
    return channel.mux is not None and not channel.mux.greeted
