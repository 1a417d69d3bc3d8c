"""What the conversations with one streamable HTTP server share: its address, the client, its health, its tasks."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Coroutine
from typing import Any

from portico.net.errors import NetError, Rejected, TimedOut, Unreachable
from portico.net.http_client import HttpClient
from portico.net.response import Response
from portico.net.streaming import StreamingResponse
from portico.upstream.mcp import envelope as envelope
from portico.upstream.mcp.direct import Rest
from portico.upstream.mcp.health import Life
from portico.upstream.mcp.log import BoundedLog
from portico.upstream.mcp.target import Target
from portico.upstream.mcp.upstream import McpSpec, Outcome
from portico.upstream.mcp.work import Work
from portico.wire.jsonrpc import Message

Sent = Coroutine[Any, Any, Response | StreamingResponse]
LINGER = 2.0
NOTICE = 10.0
MOST_TASKS = 1_024


class Place:
    """`streams` is the client for streams without end, so that they take no connection from calls. `on_change` is told
    when the server goes down and when it is back."""

    def __init__(
        self, spec: McpSpec, client: HttpClient, streams: HttpClient, on_change: Callable[[bool], None]
    ) -> None:
        loop = asyncio.get_running_loop()
        self.spec = spec
        self.target = Target(spec)
        self.client = client
        self.streams = streams
        self.clock = loop.time
        self.work = Work()
        self.closed = False
        self.lasting: set[StreamingResponse] = set()
        """The streams of listeners, which have no end of their own."""
        self.life = Life(self.target.name, loop.time)
        self._log = BoundedLog(self.target.name, loop.time)
        self._on_change = on_change
        self._loop = loop
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self) -> None:
        """One more request is under way, until `work.leave`. Raises Unreachable when no more are taken."""
        if self.closed:
            raise self.over()
        self.work.enter()

    def over(self) -> Unreachable:
        return Unreachable(f"{self.target.name} is not called any more: its configuration has changed")

    def answered(self) -> None:
        if not self.life.is_serving:
            was_down = self.life.is_down
            self.life.serving()
            if was_down:
                self._on_change(True)

    def failed(self, error: NetError) -> NetError:
        """The error as callers see it: it names the upstream, and what it says of the upstream is noted."""
        if isinstance(error, Unreachable) or (isinstance(error, TimedOut) and not error.sent):
            was_down = self.life.is_down
            self.life.down(error.message)
            if not was_down:
                self._on_change(False)
        if error.message.startswith(self.target.name):
            return error
        return type(error)(f"{self.target.name} failed: {error.message}", sent=error.sent)

    def send(self, lines: bytes, body: bytes, deadline: float, safe: bool) -> Sent:
        """To be awaited. Who does so says `answered` where the server was not known to serve."""
        target = self.target
        # Until its deadline a request may take its time to begin: an upstream without streams answers when it is done.
        return self.client.open(
            target.origin, target.post(lines, body), deadline=deadline, first_byte=math.inf, idempotent=safe
        )

    async def post(self, lines: bytes, body: bytes, deadline: float, safe: bool) -> Response | StreamingResponse:
        response = await self.send(lines, body, deadline, safe)
        self.answered()
        return response

    def read(self, data: bytes) -> list[Message]:
        """The messages of one event; what is none is logged and ignored."""
        try:
            return envelope.read(data)
        except ValueError as error:
            self._log.warning("sent an event that is no JSON-RPC: %s", error)
            return []

    def let_go(self, response: Response | StreamingResponse) -> None:
        """Give the rest of an answer a moment to arrive, so that its connection can be used again."""
        if isinstance(response, StreamingResponse) and not response.has_arrived:
            response.wait_until(float("inf"))
            self._loop.call_later(LINGER, response.drop)

    def going_on(self, work: Coroutine[Any, Any, Outcome], response: Response | StreamingResponse) -> Rest:
        """The rest of a request that is under way, which `work` finds in its response. It leaves when it has ended."""
        rest = self._loop.create_task(work)

        def ended(_: object) -> None:
            self.work.leave()
            if rest.cancelled() and isinstance(response, StreamingResponse):
                response.drop()

        rest.add_done_callback(ended)
        return rest

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something small to its end; errors of the network are noted and end there."""
        if len(self._tasks) >= MOST_TASKS:
            work.close()
            return
        task = self._loop.create_task(self._quietly(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        for response in tuple(self.lasting):
            response.drop()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _quietly(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except NetError as error:
            if not isinstance(error, Rejected):
                self.failed(error)
