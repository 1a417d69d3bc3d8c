"""A server's connection without a socket, driven byte by byte, and the listener and the handler that it talks to."""

import asyncio
from typing import Any

from tests.fakes.net_transport import AtOnce

from portico.gateway.exchange import Headers, Reply, Request, text_reply
from portico.gateway.ingress.heads import HeadLimits
from portico.gateway.ingress.http1 import Connection
from portico.gateway.ingress.known_heads import KnownHeads
from portico.gateway.ingress.leaving import Guest
from portico.gateway.ingress.listener import Patience


class FakeTransport(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = False
        self.paused = False

    def write(self, data: Any) -> None:
        assert not self.closed
        self.written += data

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    abort = close

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.closed = True

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

    def get_write_buffer_size(self) -> int:
        return len(self.written)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("10.0.0.1", 50_000) if name == "peername" else default


class FakeHome:
    """The listener, the handler and whom it believes in one. A request to a path that ends in `/wait` is answered when
    the test lets it; every answer says its number and its path."""

    def __init__(self, max_body: int = 1000, heads: HeadLimits | None = None, known_heads: int = 512) -> None:
        self.handler = self.callers = self
        self.max_body = max_body
        self.heads = heads or HeadLimits()
        self.limits = Patience()
        self.scheme = "http"
        self.now = 0.0
        self.date = b"date: now\r\n"
        self.json_head = b"HTTP/1.1 200 OK\r\ndate: now\r\ncontent-type: application/json\r\n"
        self.known = KnownHeads(known_heads)
        self.outbox = AtOnce()
        self.in_flight = 0
        self.draining = False
        self.seen: list[Request] = []
        self.waiting: list[asyncio.Future[None]] = []

    def client(self, peer: str, scheme: str, headers: Headers) -> tuple[str, str, bool]:
        return peer, scheme, False

    async def handle(self, request: Request) -> Reply:
        self.seen.append(request)
        number = len(self.seen)
        assert self.in_flight == 1, "two handlers at once"
        if request.path.endswith(b"/wait"):
            future = asyncio.get_running_loop().create_future()
            self.waiting.append(future)
            await future
        method = (b"x-method", request.method.encode())
        return text_reply(200, f"{number} {request.path.decode('latin-1')}", (method,))

    def let_go(self) -> None:
        waiting, self.waiting = self.waiting, []
        for future in waiting:
            future.set_result(None)

    def remember(self, connection: Guest) -> None:
        pass

    def forget(self, connection: Guest) -> None:
        pass


def connected(home: FakeHome) -> tuple[Connection, FakeTransport]:
    connection, transport = Connection(home), FakeTransport()
    connection.connection_made(transport)
    return connection, transport


def answers(written: bytes) -> list[tuple[int, bytes]]:
    """Status and body of every answer, which must be whole. The answer to HEAD has no body."""
    found = []
    while written:
        head, _, written = written.partition(b"\r\n\r\n")
        status = int(head.split(b" ")[1])
        lengths = [line[16:] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length: ")]
        length = int(lengths[0]) if lengths and b"x-method: HEAD" not in head else 0
        body, written = written[:length], written[length:]
        assert len(body) == length
        if status != 100:
            found.append((status, body))
    return found
