"""Small raw servers that speak exactly the bytes a test gives them: an HTTP peer, a CONNECT proxy, a SOCKS5 proxy."""

import asyncio
import base64
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Server:
    """A listening server: its port, and what it has seen of connections so far."""

    def __init__(self) -> None:
        self.port = 0
        self.connections = 0
        self.open = 0
        self.requests: list[bytes] = []
        self.all_closed = asyncio.Event()


@contextlib.asynccontextmanager
async def serving(
    handler: Handler, *, tls: ssl.SSLContext | None = None, path: str | None = None, port: int = 0
) -> AsyncIterator[Server]:
    """Runs `handler` for every connection. Errors of a connection that the client drops are what handlers live with."""
    server = Server()
    writers: set[asyncio.StreamWriter] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server.connections += 1
        server.open += 1
        writers.add(writer)
        server.all_closed.clear()
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await handler(reader, writer)
        writer.close()
        writers.discard(writer)
        server.open -= 1
        if not server.open:
            server.all_closed.set()

    if path is not None:
        listener = await asyncio.start_unix_server(connected, path)
    else:
        listener = await asyncio.start_server(connected, "127.0.0.1", port, ssl=tls, reuse_address=True)
        server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        for writer in tuple(writers):
            writer.transport.abort()


async def read_request(reader: asyncio.StreamReader) -> bytes:
    """One request, head and body. Raises IncompleteReadError at the end of the connection."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = 0
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            length = int(line.partition(b":")[2])
    return head + await reader.readexactly(length)


def answering(*answers: bytes, close: bool = False) -> Handler:
    """Every connection answers its requests with these bytes in turn, the last one again and again."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for turn in range(1_000_000):
            await read_request(reader)
            writer.write(answers[min(turn, len(answers) - 1)])
            await writer.drain()
            if close:
                return

    return handle


async def until_dropped(reader: asyncio.StreamReader) -> None:
    """Returns when the client has dropped the connection."""
    with contextlib.suppress(OSError):
        while await reader.read(65536):
            pass


async def _relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


async def _tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
    upstream_reader, upstream_writer = await asyncio.open_connection("127.0.0.1", port)
    await asyncio.gather(_relay(reader, upstream_writer), _relay(upstream_reader, writer))


def connect_proxy(target_port: int, seen: list[str], credentials: str | None = None) -> Handler:
    """A proxy that knows CONNECT. Whatever it is asked for, it connects to `target_port` on loopback."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        seen.append(head.split("\r\n")[0])
        wanted = f"Proxy-Authorization: Basic {base64.b64encode((credentials or '').encode()).decode()}"
        if credentials and wanted not in head.split("\r\n"):
            writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            return
        writer.write(b"HTTP/1.1 200 Connection established\r\nVia: fake\r\n\r\n")
        await _tunnel(reader, writer, target_port)

    return handle


def socks5_proxy(target_port: int, seen: list[str], credentials: str | None = None, reply: int = 0) -> Handler:
    """A SOCKS5 proxy, for names and addresses. Whatever it is asked for, it connects to `target_port` on loopback."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _, count = await reader.readexactly(2)
        methods = await reader.readexactly(count)
        method = 2 if credentials else 0
        if method not in methods:
            writer.write(b"\x05\xff")
            return
        writer.write(bytes((5, method)))
        if credentials:
            await reader.readexactly(1)
            name = await reader.readexactly((await reader.readexactly(1))[0])
            password = await reader.readexactly((await reader.readexactly(1))[0])
            fine = f"{name.decode()}:{password.decode()}" == credentials
            writer.write(bytes((1, 0 if fine else 1)))
            if not fine:
                return
        kind = (await reader.readexactly(4))[3]
        size = {1: 4, 4: 16}.get(kind) or (await reader.readexactly(1))[0]
        target = await reader.readexactly(size)
        port = int.from_bytes(await reader.readexactly(2), "big")
        seen.append(f"{target.decode() if kind == 3 else target.hex()}:{port}")
        writer.write(bytes((5, reply, 0, 3)) + b"\x04fake\x00\x50")
        if not reply:
            await _tunnel(reader, writer, target_port)

    return handle
