"""An MCP server that costs next to nothing: python -m bench.mcp_server http PORT | stdio.

It is what the relayed scenarios call, in both eras. It trusts its caller: a request arrives whole or in order, an id is
found by its first mention, and every tool answers alike, with the value of its argument `id` and about 400 bytes.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from typing import cast

import uvloop

from bench.messages import LEGACY, MODERN

TOOLS = 100
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE).search
_ID = re.compile(rb'"id":(\d+|"[^"]*")').search
_METHOD = re.compile(rb'"method":"([^"]*)"').search
_ITEM = re.compile(rb'"id":"(item-[0-9]*)"').search
_FILL = b"x" * 320
_MODERN_TAIL = b',"resultType":"complete"'


def _tool(number: int) -> dict[str, object]:
    schema = {"type": "object", "properties": {"id": {"type": "string"}, "limit": {"type": "integer"}}}
    return {"name": f"tool_{number}", "description": f"Tool {number} of the bench.", "inputSchema": schema}


def _members(value: dict[str, object]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()[1:-1]


_INFO = {"serverInfo": {"name": "bench", "version": "1"}, "capabilities": {"tools": {}}}
_FIXED = {
    b"initialize": _members({"protocolVersion": LEGACY, **_INFO}),
    b"server/discover": _members({"supportedVersions": [MODERN, LEGACY], "ttlMs": 0, "cacheScope": "public", **_INFO}),
    b"tools/list": _members({"tools": [_tool(number) for number in range(TOOLS)]}),
    b"ping": b"",
}


def answer(body: bytes) -> bytes | None:
    """The response to a request; None for a notification."""
    identifier, method = _ID(body), _METHOD(body)
    if identifier is None or method is None or method[1].startswith(b"notifications/"):
        return None
    members = _FIXED.get(method[1])
    if members is None:
        item = _ITEM(body)
        value = item[1] if item is not None else b"none"
        members = b'"content":[{"type":"text","text":"%b %b"}],"isError":false' % (value, _FILL)
    tail = _MODERN_TAIL if b"protocolVersion" in body and method[1] != b"initialize" else b""
    return b'{"jsonrpc":"2.0","id":%b,"result":{%b%b}}' % (identifier[1], members, tail)


class Connection(asyncio.Protocol):
    """HTTP/1.1 as far as the gateway's own client speaks it."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # The transports of uvloop are not asyncio's by birth.
        self._transport = cast(asyncio.Transport, transport)
        self._waiting = b""

    def data_received(self, data: bytes) -> None:
        data = self._waiting + data
        while (end := data.find(b"\r\n\r\n")) >= 0:
            length = _LENGTH(data, 0, end)
            whole = end + 4 + (int(length[1]) if length is not None else 0)
            if len(data) < whole:
                break
            self._answer(data[:end], data[end + 4 : whole])
            data = data[whole:]
        self._waiting = data

    def _answer(self, head: bytes, body: bytes) -> None:
        if not head.startswith(b"POST "):
            self._transport.write(b"HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n")
            return
        said = answer(body)
        if said is None:
            self._transport.write(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")
            return
        session = b"Mcp-Session-Id: bench\r\n" if b'"initialize"' in body else b""
        self._transport.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n%bContent-Length: %d\r\n\r\n%b"
            % (session, len(said), said)
        )


async def serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


def speak() -> None:
    """Over stdin and stdout: one message a line."""
    waiting = b""
    while data := os.read(0, 1 << 18):
        *lines, waiting = (waiting + data).split(b"\n")
        said = [found for line in lines if line and (found := answer(line)) is not None]
        _write(b"".join([one + b"\n" for one in said]))


def _write(data: bytes) -> None:
    while data:
        data = data[os.write(1, data) :]


if __name__ == "__main__":
    if sys.argv[1] == "stdio":
        speak()
    else:
        uvloop.run(serve(int(sys.argv[2])))
