"""A legacy MCP server over streamable HTTP or SSE that misbehaves as a test tells it, on raw sockets."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from tests.fakes.net_servers import read_request, serving

JSON_TYPE = "application/json"
EVENTS = "text/event-stream"


class Exchange:
    """One request of the gateway's, and the means to answer it."""

    def __init__(self, data: bytes, writer: asyncio.StreamWriter) -> None:
        head, _, body = data.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        self.method, self.target, _ = lines[0].split(" ")
        self.headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        self.message: dict[str, Any] = json.loads(body) if body else {}
        self.writer = writer

    @property
    def tool(self) -> str:
        return self.message.get("params", {}).get("name", "")

    def reply(self, status: int, body: Any = b"", kind: str = JSON_TYPE, **headers: str) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        lines = [f"HTTP/1.1 {status} x", f"Content-Type: {kind}", f"Content-Length: {len(data)}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.writer.write("\r\n".join([*lines, "", ""]).encode() + data)

    def result(self, result: Any, **headers: str) -> None:
        self.reply(200, {"jsonrpc": "2.0", "id": self.message["id"], "result": result}, **headers)

    def text(self, text: str) -> None:
        self.result({"content": [{"type": "text", "text": text}]})

    def begin_events(self) -> None:
        self.writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")

    def event(self, message: Any, *, identifier: str = "", retry: int | None = None, name: str = "message") -> None:
        data = message if isinstance(message, str) else json.dumps(message)
        lines = [f"event: {name}", *([f"id: {identifier}"] if identifier else [])]
        lines += [f"retry: {retry}"] if retry is not None else []
        self.chunk("\n".join([*lines, f"data: {data}", "", ""]).encode())

    def chunk(self, data: bytes) -> None:
        self.writer.write(b"%x\r\n%b\r\n" % (len(data), data))

    def end_events(self) -> None:
        self.writer.write(b"0\r\n\r\n")


Act = Callable[[Exchange], Awaitable[bool | None]]


class LegacyServer:
    """`act` is asked first about every request; it returns True for those that it has dealt with."""

    def __init__(self, act: Act) -> None:
        self.act = act
        self.sessions: set[str] = set()
        self.made = 0
        self.seen: list[Exchange] = []
        self.streams: list[Exchange] = []
        self.left: list[Exchange] = []
        """The last request of each connection that is closed."""
        self.port = 0

    def methods(self) -> list[str]:
        return [one.message.get("method", one.method) for one in self.seen]

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        exchange: Exchange | None = None
        try:
            while True:
                exchange = Exchange(await read_request(reader), writer)
                self.seen.append(exchange)
                if not await self.act(exchange):
                    await self._answer(exchange)
                await writer.drain()
        finally:
            if exchange is not None:
                self.left.append(exchange)

    async def _answer(self, exchange: Exchange) -> None:
        message, method = exchange.message, exchange.message.get("method")
        if method == "initialize":
            self.made += 1
            self.sessions.add(f"session-{self.made}")
            info = {"name": "fake", "version": "1"}
            result = {"protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": info}
            exchange.result(result, Mcp_Session_Id=f"session-{self.made}")
        elif method == "server/discover":
            error = {"code": -32000, "message": "Bad Request: Server not initialized"}
            exchange.reply(400, {"jsonrpc": "2.0", "id": None, "error": error})
        elif exchange.headers.get("mcp-session-id") not in self.sessions:
            exchange.reply(
                404, {"jsonrpc": "2.0", "id": None, "error": {"code": -32001, "message": "Session not found"}}
            )
        elif exchange.method == "GET":
            self.streams.append(exchange)
            exchange.begin_events()
        elif exchange.method == "DELETE":
            self.sessions.discard(exchange.headers["mcp-session-id"])
            exchange.reply(200)
        elif method is None or "id" not in message:
            exchange.reply(202)
        elif method == "tools/call":
            exchange.text(exchange.tool)
        else:
            exchange.result({})


async def nothing_special(exchange: Exchange) -> bool | None:
    return False


@contextlib.asynccontextmanager
async def legacy_server(act: Act = nothing_special, port: int = 0) -> AsyncIterator[LegacyServer]:
    fake = LegacyServer(act)
    async with serving(fake.handle, port=port) as server:
        fake.port = server.port
        yield fake
