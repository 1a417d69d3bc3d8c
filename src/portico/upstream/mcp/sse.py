"""An MCP server that is reached over HTTP with SSE, the transport of 2024-11-05: one stream for everything it says, and
an endpoint on the same origin that takes what it is told. Modern messages go the same way where it answers them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from portico.net.errors import Malformed, NetError, Rejected, TimedOut, Unreachable
from portico.net.http_client import HttpClient
from portico.net.streaming import StreamingResponse
from portico.upstream.mcp.answer import body_of, is_events, is_lost_session, refused
from portico.upstream.mcp.channel import Channel
from portico.upstream.mcp.channels import ChannelUpstream
from portico.upstream.mcp.health import Life
from portico.upstream.mcp.home import Home
from portico.upstream.mcp.log import BoundedLog
from portico.upstream.mcp.mux import Mux
from portico.upstream.mcp.target import Target
from portico.upstream.mcp.upstream import McpSpec
from portico.wire.sse_reader import Event, EventReader

MOST_POSTS = 512
POST_SECONDS = 30.0


class SseChannel:
    """`streams` is the client that the standing stream is read with, `client` that for what is posted."""

    def __init__(self, target: Target, client: HttpClient, streams: HttpClient, timeout: float) -> None:
        self.mux: Mux | None = None
        self.on_end: Callable[[NetError], None] = lambda _: None
        self._target = target
        self._client = client
        self._streams = streams
        self._timeout = timeout
        self._loop = asyncio.get_running_loop()
        self._endpoint: asyncio.Future[Target] = self._loop.create_future()
        self._posts: set[asyncio.Task[None]] = set()
        self._reading: asyncio.Task[None] | None = None
        self._is_over = False

    async def start(self) -> None:
        """Opens the stream and waits for the endpoint that it must name first."""
        target, deadline = self._target, self._loop.time() + self._timeout
        try:
            response = await self._streams.stream(
                target.origin, target.get(b""), deadline=None, first_byte=self._timeout, idempotent=True
            )
            if response.status != 200 or not is_events(response):
                raise self._no_stream(response, await body_of(target, response))
        except NetError as error:
            raise self._named(error) from error
        self._reading = self._loop.create_task(self._read(response))
        try:
            await asyncio.wait([self._endpoint], timeout=deadline - self._loop.time())
        except asyncio.CancelledError:
            await self.close()
            raise
        if not self._endpoint.done():
            await self.close()
            raise TimedOut(f"{target.name} opened a stream, but named no endpoint on it within {self._timeout:g} s")
        await self._endpoint

    def send(self, message: bytes, number: int | None, headers: Mapping[str, str] = {}) -> None:
        if self._is_over:
            raise Unreachable(f"{self._target.name} has ended its stream")
        if len(self._posts) >= MOST_POSTS:
            raise Rejected(f"{self._target.name} is slow to take what it is sent: {MOST_POSTS} messages are waiting")
        post = self._loop.create_task(self._post(message, number, headers))
        self._posts.add(post)
        post.add_done_callback(self._posts.discard)

    async def close(self) -> None:
        self._is_over = True
        tasks = [*self._posts, *([self._reading] if self._reading is not None else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _post(self, message: bytes, number: int | None, headers: Mapping[str, str]) -> None:
        target = await self._endpoint
        try:
            response = await self._client.send(
                target.origin,
                target.post(target.lines(headers), message),
                deadline=self._loop.time() + POST_SECONDS,
                idempotent=False,
            )
        except NetError as error:
            self._lose(number, self._named(error))
            return
        if response.status >= 300:
            error = refused(self._target, response, response.body)
            self._lose(number, error)
            if is_lost_session(response.status, response.body):
                self._over(error)

    async def _read(self, response: StreamingResponse) -> None:
        reader = EventReader()
        error: NetError = Unreachable(f"{self._target.name} ended its stream", sent=True)
        try:
            async with response:
                async for piece in response:
                    for event in reader.feed(piece):
                        self._take(event)
        except NetError as broken:
            error = self._named(broken)
        except ValueError as long:
            error = Rejected(f"{self._target.name} sent {long}", sent=True)
        self._over(error)

    def _take(self, event: Event) -> None:
        if event.name == "endpoint":
            if not self._endpoint.done():
                self._endpoint.set_result(self._target.at(event.data.decode(errors="replace").strip()))
        elif event.name == "message" and self.mux is not None:
            self.mux.take(event.data)

    def _over(self, error: NetError) -> None:
        if self._is_over:
            return
        self._is_over = True
        if self._reading is not None and self._reading is not asyncio.current_task():
            self._reading.cancel()
        if not self._endpoint.done():
            self._endpoint.set_exception(error)
            return
        if self.mux is not None:
            self.mux.end(error)
        self.on_end(error)

    def _lose(self, number: int | None, error: NetError) -> None:
        if number is not None and self.mux is not None:
            self.mux.lose(number, error)

    def _no_stream(self, response: StreamingResponse, body: bytes) -> NetError:
        error = refused(self._target, response, body)
        if response.status == 200:
            return Malformed(f"{self._target.name} answered a GET with something else than an event stream", sent=True)
        if response.status in (400, 404, 405):
            return Rejected(f"{error.message}; if it speaks streamable HTTP, write `type: http`", sent=True)
        return error

    def _named(self, error: NetError) -> NetError:
        if error.message.startswith(self._target.name):
            return error
        return type(error)(f"{self._target.name} failed: {error.message}", sent=error.sent)


def sse_upstream(spec: McpSpec, client: HttpClient, streams: HttpClient) -> ChannelUpstream:
    """Build it inside the event loop."""
    clock = asyncio.get_running_loop().time
    target = Target(spec)
    life, log = Life(target.name, clock), BoundedLog(target.name, clock)

    async def open_channel() -> Channel:
        channel = SseChannel(target, client, streams, spec.timeout)
        await channel.start()
        return channel

    return ChannelUpstream(Home(spec, target.name, life, log, open_channel, spec.timeout))
