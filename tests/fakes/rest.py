"""A scripted REST service: it writes down every request it gets, and answers what a test told it to.

`/hold` answers nothing until the test releases it, and notices when its client hangs up.
"""

import asyncio
import contextlib
import json
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

PATIENCE = 5.0


@dataclass(frozen=True)
class Seen:
    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Answered:
    body: bytes = b"{}"
    status: int = 200
    content_type: str = "application/json"

    def encode(self) -> bytes:
        head = f"HTTP/1.1 {self.status} Scripted\r\nContent-Type: {self.content_type}\r\n"
        return f"{head}Content-Length: {len(self.body)}\r\n\r\n".encode() + self.body


@dataclass
class Rest:
    """`answers` by path, the query left out; a path that is not there is answered by its own request as JSON."""

    url: str = ""
    requests: list[Seen] = field(default_factory=list)
    answers: dict[str, Answered] = field(default_factory=dict)
    held: asyncio.Event = field(default_factory=asyncio.Event)
    release: asyncio.Event = field(default_factory=asyncio.Event)
    dropped: asyncio.Event = field(default_factory=asyncio.Event)

    def forget(self) -> None:
        """A fresh start for the next test; a call that is still held is let go."""
        self.release.set()
        self.requests.clear()
        self.answers.clear()
        self.held, self.release, self.dropped = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def until(self, event: asyncio.Event, seconds: float = PATIENCE) -> None:
        async with asyncio.timeout(seconds):
            await event.wait()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                seen = await _read(reader)
                self.requests.append(seen)
                path = seen.target.partition("?")[0]
                if path == "/hold" and not await self._hold(reader):
                    break
                writer.write(self.answers.get(path, _echo(seen)).encode())
                await writer.drain()
        writer.close()

    async def _hold(self, reader: asyncio.StreamReader) -> bool:
        """Whether the client is still there when the test lets go."""
        held, dropped = self.held, self.dropped
        release = asyncio.ensure_future(self.release.wait())
        gone = asyncio.ensure_future(reader.read(1))
        held.set()
        await asyncio.wait((release, gone), return_when=asyncio.FIRST_COMPLETED)
        release.cancel()
        if gone.done():
            dropped.set()
            return False
        gone.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await gone
        return True


def _echo(seen: Seen) -> Answered:
    body = {"method": seen.method, "target": seen.target, "body": seen.body.decode("utf-8", "replace")}
    return Answered(json.dumps(body).encode())


async def _read(reader: asyncio.StreamReader) -> Seen:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.rstrip("\r\n").split("\r\n")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    method, target, _ = first.split(" ")
    return Seen(method, target, headers, await reader.readexactly(int(headers.get("content-length", "0"))))


@contextlib.asynccontextmanager
async def serving() -> AsyncIterator[Rest]:
    rest = Rest()
    connections: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connections.add(task)
        try:
            await rest._connected(reader, writer)
        finally:
            connections.discard(task)

    listener = await asyncio.start_server(connected, "127.0.0.1", 0)
    rest.url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    try:
        yield rest
    finally:
        listener.close()
        for task in tuple(connections):
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)


@contextlib.contextmanager
def in_a_thread() -> Iterator[Rest]:
    """For tests that are not asynchronous."""
    loop = asyncio.new_event_loop()
    up: list[Rest] = []
    ready, over = threading.Event(), asyncio.Event()

    async def serve() -> None:
        async with serving() as running:
            up.append(running)
            ready.set()
            await over.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    try:
        assert ready.wait(10)
        yield up[0]
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join(10)
        loop.close()
