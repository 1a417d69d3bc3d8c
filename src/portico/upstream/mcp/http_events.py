"""Following the event stream that answers a request, and resuming it where the server breaks it off.

Specification 2025-11-25, transports: Resumability and Redelivery. The modern era has no resumption.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from portico.net.errors import Malformed, NetError, Rejected, TimedOut, Unreachable
from portico.net.response import Response
from portico.net.streaming import StreamingResponse
from portico.upstream.mcp.answer import body_of, is_events, refused, sole_outcome
from portico.upstream.mcp.asked import Asked
from portico.upstream.mcp.http_place import Place
from portico.upstream.mcp.upstream import Outcome
from portico.wire.sse_reader import Event, EventReader

RETRY = 1.0
SHORTEST_RETRY = 0.05
LONGEST_RETRY = 60.0

Take = Callable[[bytes], Outcome | None]


class AnswerStream:
    """`take` is given the data of each event and tells the end of the request. `lines` are the session's headers, for
    resuming; None where that is not to be had."""

    def __init__(self, place: Place, asked: Asked, take: Take, lines: bytes | None) -> None:
        self._place = place
        self._asked = asked
        self._take = take
        self._lines = lines
        self._reader = EventReader()
        self._unheard: list[Event] | None = None

    async def first(self, response: Response | StreamingResponse) -> Outcome | None:
        """The end of the request, where the server says nothing else before it. Where it does, `follow` is told."""
        try:
            self._unheard = await self._next(response)
        except (Malformed, Unreachable):
            # It breaks again where it is followed, which says what becomes of it.
            return None
        outcome = sole_outcome(self._unheard, self._asked.number or self._asked.identifier)
        if outcome is not None:
            self._place.let_go(response)
        return outcome

    async def follow(self, response: Response | StreamingResponse) -> Outcome:
        while True:
            cause: NetError | None = None
            try:
                outcome = await self._read(response)
            except (Malformed, Unreachable) as error:
                outcome, cause = None, error
            if outcome is not None:
                self._place.let_go(response)
                return outcome
            if self._lines is None or self._reader.last_id is None:
                text = f"{self._place.target.name} ended its stream before it had answered"
                raise Malformed(text, sent=True) from cause
            response = await self._resumed(self._lines)

    async def _read(self, response: Response | StreamingResponse) -> Outcome | None:
        unheard, self._unheard = self._unheard, None
        for event in unheard or ():
            outcome = self._take(event.data)
            if outcome is not None:
                return outcome
        if isinstance(response, Response):
            return self._events(response.body) if unheard is None else None
        self._asked.moved = response.wait_until
        try:
            async for piece in response:
                outcome = self._events(piece)
                if outcome is not None:
                    return outcome
        except BaseException:
            response.drop()
            raise
        finally:
            self._asked.moved = None
        return None

    async def _next(self, response: Response | StreamingResponse) -> list[Event]:
        """What the server says first, or nothing where it says no more."""
        if isinstance(response, Response):
            return self._feed(response.body)
        try:
            async for piece in response:
                events = self._feed(piece)
                if events:
                    return events
        except BaseException:
            response.drop()
            raise
        return []

    def _feed(self, piece: bytes) -> list[Event]:
        try:
            return self._reader.feed(piece)
        except ValueError as error:
            raise Rejected(f"{self._place.target.name} sent {error}", sent=True) from None

    def _events(self, piece: bytes) -> Outcome | None:
        for event in self._feed(piece):
            outcome = self._take(event.data)
            if outcome is not None:
                return outcome
        return None

    async def _resumed(self, lines: bytes) -> StreamingResponse:
        place, asked = self._place, self._asked
        await asyncio.sleep(min(retry_after(self._reader), max(0.0, asked.deadline - place.clock())))
        if place.clock() >= asked.deadline:
            raise TimedOut(f"{place.target.name} did not answer before the deadline of the call", sent=True)
        data = place.target.get(lines, self._reader.last_id)
        response = await place.client.stream(
            place.target.origin, data, deadline=asked.deadline, first_byte=float("inf"), idempotent=True
        )
        if response.status != 200 or not is_events(response):
            raise refused(place.target, response, await body_of(place.target, response))
        last_id, retry = self._reader.last_id, self._reader.retry
        self._reader = EventReader()
        self._reader.last_id, self._reader.retry = last_id, retry
        return response


def retry_after(reader: EventReader) -> float:
    """The seconds to wait before reconnecting, as the server wishes within bounds."""
    wished = RETRY if reader.retry is None else reader.retry / 1000
    return min(max(wished, SHORTEST_RETRY), LONGEST_RETRY)
