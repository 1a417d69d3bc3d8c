"""Services that answer with the intent to harm whoever called them, one port for each way to do it."""

import asyncio
import contextlib
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
_BOMB = gzip.compress(b'"' + b"0" * 50_000_000 + b'"', 9)


async def bomb(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """50 MB in 50 KB."""
    writer.write(_HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(_BOMB) + _BOMB)


async def endless_body(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(_HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
        await writer.drain()


async def endless_headers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"X-More: " + b"y" * 8000 + b"\r\n")
        await writer.drain()


async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(_HEAD + b"Content-Length: 1000\r\n\r\n")
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.1)


async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)


async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"\x00\xff\x16\x03 is this HTTP?\r\n\r\n" * 10)


async def deep(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    body = b"[" * 1_000_000
    writer.write(_HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)


async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(_HEAD + b"Content-Length: 100000\r\n\r\n{")
    await writer.drain()
    writer.transport.abort()


async def large(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """As large as is allowed."""
    body = b'"' + b"x" * 4_000_000 + b'"'
    writer.write(_HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)


WAYS: tuple[Answer, ...] = (
    bomb, endless_body, endless_headers, drip, silence, reset, nonsense, deep, cut, large,
)  # fmt: skip


@contextlib.asynccontextmanager
async def hostile_services() -> AsyncIterator[dict[str, int]]:
    """Ports by the name of the way. Whatever is open at the end is cut."""
    writers: set[asyncio.StreamWriter] = set()

    def serving(answer: Answer) -> Answer:
        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writers.add(writer)
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                while True:
                    await reader.readuntil(b"\r\n\r\n")
                    await answer(reader, writer)
                    await writer.drain()
            writers.discard(writer)
            writer.close()

        return connected

    servers = {answer.__name__: await asyncio.start_server(serving(answer), "127.0.0.1", 0) for answer in WAYS}
    try:
        yield {name: server.sockets[0].getsockname()[1] for name, server in servers.items()}
    finally:
        for server in servers.values():
            server.close()
        for writer in tuple(writers):
            writer.transport.abort()
