"""Replies of relayed calls: JSON where the answer comes first, a stream from the first message that comes before it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from portico.gateway.exchange import EVENTS, Reply
from portico.gateway.protocol.call import Call
from portico.gateway.protocol.dispatch import Answer, Method
from portico.gateway.transport.conversation import Conversations, alone, overloaded
from portico.gateway.transport.event_stream import EventStream, TooManyStreams


class Sink(Protocol):
    """Where messages go once there is a stream: a modern stream itself, or the log of a session's."""

    def send(self, message: bytes) -> None: ...


Open = Callable[[EventStream], tuple[Sink, Callable[[], None]]]
"""Prepares a fresh stream: returns where to send, and what ends it after the last message."""


class Relayed:
    """One call whose reply is decided by what comes first. `cancel` ends it."""

    def __init__(self, shared: Conversations, call: Call, method: Method, open_sink: Open) -> None:
        self._shared = shared
        self._call = call
        self._open: Open | None = open_sink
        self._sink: Sink | None = None
        self._finish: Callable[[], None] = lambda: None
        self._first: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._after: Callable[[], object] = lambda: None
        call.notify = self._hear
        self.cancel = shared.start(call, method, self._done)

    def when_done(self, action: Callable[[], object]) -> None:
        self._after = action

    async def reply(self) -> Reply:
        return await self._first

    def _hear(self, message: bytes) -> None:
        if self._sink is None and not self._begin():
            return
        assert self._sink is not None
        self._sink.send(message)

    def _begin(self) -> bool:
        if self._first.done() or self._open is None:
            return False
        try:
            stream = self._shared.open_stream(self._call)
        except TooManyStreams as error:
            self._first.set_result(overloaded(str(error)))
            self.cancel()
            return False
        self._sink, self._finish = self._open(stream)
        self._first.set_result(Reply(200, headers=EVENTS, stream=stream))
        return True

    def _done(self, answer: Answer) -> None:
        self._after()
        if self._sink is not None:
            self._sink.send(answer.body)
            self._finish()
        elif not self._first.done():
            self._first.set_result(alone(answer))
        # What was given to it knows it; parted, nothing of the call waits for the garbage collector.
        self._open = self._sink = self._call.notify = None
        self._finish = self._after = lambda: None
