"""An HTTP/1.1 client that sends exactly the bytes a test gives it, and reads answers and event streams by itself."""

import asyncio
import json
import socket
from dataclasses import dataclass
from typing import Any

PATIENCE = 5.0


@dataclass(frozen=True)
class Event:
    """One server-sent event, as an independent reading of the WHATWG text finds it."""

    name: str
    data: str
    identifier: str | None
    retry: int | None

    @property
    def json(self) -> Any:
        return json.loads(self.data)


class EventParser:
    """Feed it bytes in any pieces; `events` grows. Comments are counted, and data-less events are kept (priming)."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.comments = 0
        self._waiting = b""
        self._reset()

    def _reset(self) -> None:
        self._name, self._identifier, self._retry = "", None, None
        self._data: list[str] = []

    def feed(self, data: bytes) -> None:
        self._waiting += data
        while True:
            ends = [at for at in (self._waiting.find(b"\n"), self._waiting.find(b"\r")) if at >= 0]
            if not ends or (self._waiting[min(ends) :] == b"\r"):
                return
            at = min(ends)
            line, rest = self._waiting[:at], self._waiting[at + 1 :]
            if self._waiting[at : at + 2] == b"\r\n":
                rest = self._waiting[at + 2 :]
            self._waiting = rest
            self._line(line.decode("utf-8", "replace"))

    def _line(self, line: str) -> None:
        if not line:
            if self._data or self._identifier is not None:
                name = self._name or "message"
                self.events.append(Event(name, "\n".join(self._data), self._identifier, self._retry))
            return self._reset()
        if line.startswith(":"):
            self.comments += 1
            return None
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            self._name = value
        elif field == "data":
            self._data.append(value)
        elif field == "id" and "\0" not in value:
            self._identifier = value
        elif field == "retry" and value.isascii() and value.isdigit():
            self._retry = int(value)


@dataclass(frozen=True)
class Reply:
    """Headers by lower-case name; one that came twice is a list in `all_headers` only."""

    status: int
    headers: dict[str, str]
    all_headers: list[tuple[str, str]]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> Any:
        return self.json["error"]

    @property
    def result(self) -> Any:
        message = self.json
        assert "result" in message, message
        return message["result"]

    @property
    def events(self) -> list[Event]:
        parser = EventParser()
        parser.feed(self.body)
        return parser.events


class Wire:
    """One TCP connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._chunked = False
        self._parser = EventParser()
        self._taken = 0

    @classmethod
    async def connect(cls, port: int, *, receive: int | None = None) -> "Wire":
        """`receive` makes the kernel's buffer small, so that a client that does not read is soon noticed."""
        if receive is None:
            return cls(*await asyncio.open_connection("127.0.0.1", port, limit=1 << 24))
        opened = socket.socket()
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
        opened.setblocking(False)
        await asyncio.get_running_loop().sock_connect(opened, ("127.0.0.1", port))
        return cls(*await asyncio.open_connection(sock=opened, limit=receive))

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    def half_close(self) -> None:
        self._writer.write_eof()

    async def head(self) -> Reply:
        """The head of the next answer; interim ones are skipped."""
        while True:
            async with asyncio.timeout(PATIENCE):
                text = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            first, *lines = text.rstrip("\r\n").split("\r\n")
            status = int(first.split(" ")[1])
            if status != 100:
                break
        pairs = [(name.strip().lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]
        headers = dict(pairs)
        self._chunked = "chunked" in headers.get("transfer-encoding", "")
        return Reply(status, headers, pairs, b"")

    async def reply(self, *, without_body: bool = False) -> Reply:
        """The next answer, whole; of an event stream everything up to its end."""
        head = await self.head()
        body = b"" if without_body or head.status == 204 else await self._body(head)
        return Reply(head.status, head.headers, head.all_headers, body)

    async def _body(self, head: Reply) -> bytes:
        async with asyncio.timeout(PATIENCE):
            if self._chunked:
                parts = []
                while part := await self._chunk():
                    parts.append(part)
                return b"".join(parts)
            if "content-length" in head.headers:
                return await self._reader.readexactly(int(head.headers["content-length"]))
            return await self._reader.read()

    async def _chunk(self) -> bytes:
        size = int((await self._reader.readuntil(b"\r\n")).split(b";")[0], 16)
        data = await self._reader.readexactly(size)
        await self._reader.readexactly(2)
        return data

    async def event(self, patience: float = PATIENCE) -> Event | None:
        """The next event of the stream whose head was read, or None at the stream's orderly end."""
        async with asyncio.timeout(patience):
            while self._taken >= len(self._parser.events):
                data = await self._chunk() if self._chunked else await self._reader.read(65536)
                if not data:
                    return None
                self._parser.feed(data)
        self._taken += 1
        return self._parser.events[self._taken - 1]

    @property
    def comments(self) -> int:
        return self._parser.comments

    async def at_end(self, patience: float = PATIENCE) -> bool:
        """Whether the server closes the connection without another byte."""
        async with asyncio.timeout(patience):
            try:
                return await self._reader.read(1) == b""
            except ConnectionError:
                return True

    def abort(self) -> None:
        """Gone at once, as a client that dies."""
        self._writer.transport.abort()


def request(method: str, target: str, headers: list[tuple[str, str]], body: bytes = b"") -> bytes:
    """The bytes of a request; nothing is added to what is given."""
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body
