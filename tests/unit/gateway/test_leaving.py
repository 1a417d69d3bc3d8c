"""How connections end: nobody loses an answer because the gateway hangs up too early."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from portico.apps.sockets import listen
from portico.gateway.exchange import Headers, Reply, Request
from portico.gateway.ingress.listener import Listener, Patience

pytestmark = pytest.mark.anyio

SOON = 5.0
ASK = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": True}


class Handler:
    async def handle(self, request: Request) -> Reply:
        return Reply(200, b"hello")


class Anybody:
    def client(self, peer: str, scheme: str, headers: Headers) -> tuple[str, str, bool]:
        return peer, scheme, False


@asynccontextmanager
async def listening() -> AsyncIterator[tuple[Listener, int]]:
    opened = listen("127.0.0.1", 0)
    listener = Listener(Handler(), Anybody(), 1024, Patience())
    await listener.begin(opened)
    try:
        yield listener, opened.getsockname()[1]
    finally:
        await listener.end(SOON)


async def said(reader: asyncio.StreamReader) -> bytes:
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), SOON)
    assert b"content-length: 5\r\n" in head
    return head + await reader.readexactly(5)


async def test_a_client_that_sends_on_learns_why_it_was_refused() -> None:
    """It looks at the answer only when all that it has to say is said, as many clients and proxies do."""
    async with listening() as (_, port):
        for _ in range(20):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4000000\r\n\r\n")
            for _ in range(40):
                writer.write(bytes(100_000))
                await writer.drain()
            answer = await asyncio.wait_for(reader.read(), SOON)
            assert answer.startswith(b"HTTP/1.1 413 ")
            assert b"The body is larger than 1024 bytes." in answer
            writer.close()


async def endless(writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(bytes(10_000))
        await writer.drain()
        await asyncio.sleep(0.001)


async def test_one_that_never_stops_is_cut() -> None:
    async with listening() as (listener, port):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4000000000\r\n\r\n")
        with pytest.raises(ConnectionError):
            await asyncio.wait_for(endless(writer), SOON)
        assert len(listener) == 0


async def test_a_request_that_is_on_its_way_when_the_end_begins_is_answered() -> None:
    async with listening() as (listener, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(ASK)
        assert b"connection: close" not in await said(reader)
        end = asyncio.ensure_future(listener.end(SOON, goodbye=1.0))
        await asyncio.sleep(0)
        writer.write(ASK)
        assert b"connection: close" in await said(reader)
        assert await asyncio.wait_for(reader.read(), SOON) == b""
        writer.close()
        await asyncio.wait_for(end, SOON)


async def test_a_connection_on_which_nothing_comes_does_not_hold_the_end() -> None:
    async with listening() as (listener, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(ASK)
        await said(reader)
        await asyncio.wait_for(listener.end(60.0, goodbye=0.1), SOON)
        assert await reader.read() == b""
        writer.close()
