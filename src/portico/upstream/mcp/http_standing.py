"""The stream of a legacy HTTP session on which the server speaks by itself: optional, and opened again when it ends.

Specification 2025-11-25, transports: Listening for Messages from the Server.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from portico.net.errors import NetError, Rejected
from portico.net.streaming import StreamingResponse
from portico.upstream.mcp.answer import body_of, is_events, is_lost_session
from portico.upstream.mcp.health import FIRST_PAUSE, later
from portico.upstream.mcp.http_events import retry_after
from portico.upstream.mcp.http_place import Place
from portico.wire.sse_reader import EventReader

PATIENCE = 0.5

log = logging.getLogger("portico.upstream")

_NOT_OFFERED = frozenset((400, 401, 403, 404, 405, 406, 501))


class StandingStream:
    """`take` is given the data of each event; `lost` is awaited with the header lines whose session is unknown."""

    def __init__(self, place: Place, take: Callable[[bytes], None], lost: Callable[[bytes], Awaitable[None]]) -> None:
        self._place = place
        self._take = take
        self._lost = lost
        self._task: asyncio.Task[None] | None = None
        self._settled: asyncio.Future[None] | None = None

    @property
    def is_settling(self) -> bool:
        """Whether it is not known yet if the server speaks here."""
        return self._settled is not None and not self._settled.done()

    async def settled(self) -> None:
        """Wait for that, lest the server asks something while nobody hears; at most PATIENCE, for some servers begin
        only when they have something to say."""
        if self._settled is not None:
            await asyncio.wait([self._settled], timeout=PATIENCE)
            self._settle()

    def begin(self, lines: bytes) -> None:
        if self._task is None:
            loop = asyncio.get_running_loop()
            if self._settled is None:
                self._settled = loop.create_future()
            self._task = loop.create_task(self._run(lines))

    def again(self, lines: bytes) -> None:
        """With a new session, or since the server is back."""
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()
            self._task = None
            self.begin(lines)

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _settle(self) -> None:
        if self._settled is not None and not self._settled.done():
            self._settled.set_result(None)

    async def _run(self, lines: bytes) -> None:
        place, pause, last_id = self._place, 0.0, None
        while True:
            reader = EventReader()
            reader.last_id = last_id
            try:
                if not await self._listen(lines, reader):
                    return
                pause = retry_after(reader)
            except NetError as error:
                place.failed(error)
                pause = max(later(pause), FIRST_PAUSE)
            except ValueError as error:
                log.warning("%s broke its standing stream: %s", place.target.name, error)
                pause = later(pause)
            finally:
                self._settle()
            last_id = reader.last_id
            await asyncio.sleep(pause)

    async def _listen(self, lines: bytes, reader: EventReader) -> bool:
        """Until the stream ends. False where the server offers none."""
        place = self._place
        response = await place.streams.stream(
            place.target.origin,
            place.target.get(lines, reader.last_id),
            deadline=None,
            first_byte=float("inf"),
            idempotent=True,
        )
        async with response:
            place.answered()
            self._settle()
            if response.status != 200 or not is_events(response):
                return await self._refused(lines, response)
            async for piece in response:
                for event in reader.feed(piece):
                    self._take(event.data)
        return True

    async def _refused(self, lines: bytes, response: StreamingResponse) -> bool:
        body = await body_of(self._place.target, response)
        if b"mcp-session-id" in lines.lower() and is_lost_session(response.status, body):
            # Renewing begins another stream in place of this one.
            self._place.spawn(_await(self._lost(lines)))
            return False
        if response.status in _NOT_OFFERED or response.status < 300:
            return False
        raise Rejected(f"{self._place.target.name} answered {response.status} to a standing stream", sent=True)


async def _await(work: Awaitable[None]) -> None:
    await work
