"""Idle event streams: how many bytes of the gateway's memory each one takes."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable

from bench.client import FIRST, Client
from bench.messages import LEGACY, MARK, http, initialize, modern
from bench.servers import Server

AT_ONCE = 50
PER_ADDRESS = 500
MCP = "/items/mcp"
EVENTS = {"Accept": "text/event-stream"}


def standing(port: int, address: str) -> bytes:
    """GET on a legacy session of its own."""
    client = Client(port, address=address)
    session = client.ask(initialize(MCP)).headers["mcp-session-id"]
    client.close()
    return http("GET", MCP, {**EVENTS, "MCP-Protocol-Version": LEGACY, "Mcp-Session-Id": session})


def sse(*_: object) -> bytes:
    return http("GET", "/items/sse", EVENTS)


def listen(*_: object) -> bytes:
    return modern(MCP, "subscriptions/listen", {"notifications": {"toolsListChanged": True}})


KINDS: dict[str, tuple[str, Callable[[int, str], bytes]]] = {
    "stream-get": ("legacy GET stream with its session", standing),
    "stream-sse": ("SSE transport with its session", sse),
    "stream-listen": ("subscriptions/listen", listen),
}


def measure(server: Server, kind: str, count: int) -> dict[str, float]:
    """Open `count` streams and compare memory. RuntimeError when one is refused."""
    make = KINDS[kind][1]
    asyncio.run(_open(server, make, AT_ONCE))
    before = server.process.memory()
    began = time.monotonic()
    after = asyncio.run(_open(server, make, count))
    return {"count": count, "bytes": (after - before) / count, "seconds": time.monotonic() - began}


async def _open(server: Server, make: Callable[[int, str], bytes], count: int) -> int:
    """Memory of the server with the streams open. The first few, opened before, warm it up."""
    writers: list[asyncio.StreamWriter] = []
    try:
        for start in range(0, count, AT_ONCE):
            numbers = range(start, min(start + AT_ONCE, count))
            writers += await asyncio.gather(*(_stream(server.port, make, number) for number in numbers))
        await asyncio.sleep(1)
        return server.process.memory()
    finally:
        for writer in writers:
            writer.transport.abort()


async def _stream(port: int, make: Callable[[int, str], bytes], number: int) -> asyncio.StreamWriter:
    """One stream, from one of many addresses, since the gateway bounds the streams of each."""
    address = f"127.1.0.{number // PER_ADDRESS + 1}"
    template = make(port, address)
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(address, 0), limit=4096)
    writer.write(template.replace(MARK.encode(), str(FIRST + number).encode()))
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
    if not re.match(rb"HTTP/1.1 200 .*text/event-stream", head, re.DOTALL | re.IGNORECASE):
        raise RuntimeError(f"a stream was refused: {head!r} {await reader.read(500)!r}")
    return writer
