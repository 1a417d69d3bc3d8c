"""Ways to abuse a gateway over HTTP, each as clients of an address of their own. They go on until they are cancelled.

Answers are not judged here: what matters is what becomes of everybody else, and of the gateway afterwards.
"""

import asyncio
import contextlib
import json
import random
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import Any

from tests.e2e.conversation import LEGACY, modern_request
from tests.fakes.hostile import WAYS

Attack = Callable[["Attacker"], Awaitable[None]]

HOST = b"Host: 127.0.0.1\r\n"
JSON = b"Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\n"
GARBAGE = [
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + HOST + HOST + b"\r\n",
    b"POST /polite/mcp HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /x",
    b"GET /polite/mcp HTTP/1.1\r\n" + HOST + b"X: " + b"y" * 40_000 + b"\r\n\r\n",
    b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
    b"GET / HTTP/1.1\r\n" + HOST + b"".join(b"X-%d: y\r\n" % number for number in range(200)) + b"\r\n",
    b"POST /polite/mcp HTTP/1.1\r\n" + HOST + JSON + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff1\r\n",
    b"GET http://evil.example/polite/mcp HTTP/1.1\r\n" + HOST + b"\r\n",
    b"GET /polite/mcp HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    b"GET /polite/mcp HTTP/1.1\r\n" + HOST + b"Origin: https://evil.example\r\n\r\n",
    b"OPTIONS /polite/mcp HTTP/1.1\r\n" + HOST + b"Origin: null\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
]
BODIES = [
    b"[" * 3_000_000,
    b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":' + b'{"a":' * 500_000,
    b'{"jsonrpc":"2.0","id":"' + b"x" * 3_000_000 + b'","method":"ping"}',
    b'{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}',
    b"[" + b",".join(b'{"jsonrpc":"2.0","id":%d,"method":"ping"}' % number for number in range(5000)) + b"]",
    b'{"jsonrpc":"2.0","id":1,"method":"' + b"m" * 1_000_000 + b'"}',
    b'{"jsonrpc":"2.0","id":99999999999999999999999,"method":"ping"}',
    b"\xff\xfe" * 1_000_000,
    b" " * 4_000_000,
]


class Attacker:
    """Connections from one loopback address, all cut when it is done."""

    def __init__(self, port: int, address: str, seed: int) -> None:
        self.random = random.Random(seed)
        self.port = port
        self.address = address
        self.done = 0
        self._writers: set[asyncio.StreamWriter] = set()

    async def connect(self, receive: int = 0) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        opened = socket.socket()
        opened.setblocking(False)
        if receive:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
        opened.bind((self.address, 0))
        await asyncio.get_running_loop().sock_connect(opened, ("127.0.0.1", self.port))
        reader, writer = await asyncio.open_connection(sock=opened, limit=receive or 1 << 16)
        self._writers.add(writer)
        self.done += 1
        return reader, writer

    def drop(self, writer: asyncio.StreamWriter, *, reset: bool = False) -> None:
        self._writers.discard(writer)
        if reset:
            opened = writer.get_extra_info("socket")
            with contextlib.suppress(OSError):
                opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    def drop_all(self) -> None:
        for writer in tuple(self._writers):
            self.drop(writer)

    async def run(self, attack: Attack) -> None:
        """Again and again; a connection that the gateway cuts is what an attacker lives with."""
        try:
            while True:
                with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError):
                    await attack(self)
                self.drop_all()
                await asyncio.sleep(0.05)
        finally:
            self.drop_all()


def request(path: str, body: bytes, headers: bytes = b"") -> bytes:
    return b"POST %b HTTP/1.1\r\n%b%b%bContent-Length: %d\r\n\r\n%b" % (
        path.encode(), HOST, JSON, headers, len(body), body,
    )  # fmt: skip


def modern(path: str, method: str, params: dict[str, Any] | None = None, meta: dict[str, Any] | None = None) -> bytes:
    made = modern_request(method, params, meta=meta)
    headers = "".join(f"{name}: {value}\r\n" for name, value in made["headers"].items())
    return request(path, json.dumps(made["json"]).encode(), headers.encode())


def legacy(path: str, method: str, params: dict[str, Any] | None = None, session: bytes = b"") -> bytes:
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params or {}}).encode()
    return request(path, body, b"Mcp-Session-Id: %b\r\n" % session if session else b"")


INITIALIZE = legacy(
    "/polite/mcp",
    "initialize",
    {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": {"name": "attacker", "version": "1"}},
)


def header(head: bytes, name: bytes) -> bytes:
    lines = [line.partition(b":") for line in head.split(b"\r\n")]
    return next((value.strip() for found, _, value in lines if found.lower() == name), b"")


async def whole(reader: asyncio.StreamReader) -> bytes:
    """One answer with a length; returns its head."""
    async with asyncio.timeout(10):
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(int(header(head, b"content-length") or 0))
        return head


def say(writer: asyncio.StreamWriter, data: bytes) -> None:
    """To whoever still listens."""
    if not writer.transport.is_closing():
        writer.write(data)


async def slow_heads(attacker: Attacker) -> None:
    writers = [(await attacker.connect())[1] for _ in range(100)]
    for byte in b"POST /polite/mcp HTTP/1.1\r\n" + HOST + b"X-Slow: " + b"y" * 20:
        for writer in writers:
            say(writer, bytes([byte]))
        await asyncio.sleep(0.2)


async def slow_bodies(attacker: Attacker) -> None:
    head = b"POST /polite/mcp HTTP/1.1\r\n" + HOST + JSON + b"Content-Length: 4000000\r\n\r\n"
    writers = [(await attacker.connect())[1] for _ in range(30)]
    for writer in writers:
        writer.write(head + b" " * 500_000)
    for _ in range(20):
        for writer in writers:
            say(writer, b" ")
        await asyncio.sleep(0.2)


async def silent_connections(attacker: Attacker) -> None:
    for _ in range(500):
        await attacker.connect()
    await asyncio.sleep(4)


async def kept_connections(attacker: Attacker) -> None:
    for _ in range(200):
        reader, writer = await attacker.connect()
        writer.write(b"GET /livez HTTP/1.1\r\n" + HOST + b"\r\n")
        await whole(reader)
    await asyncio.sleep(3)


async def garbage(attacker: Attacker) -> None:
    for raw in GARBAGE:
        for change in (False, True):
            data = bytearray(raw)
            for _ in range(attacker.random.randrange(4) if change else 0):
                data[attacker.random.randrange(len(data))] = attacker.random.randrange(256)
            reader, writer = await attacker.connect()
            writer.write(bytes(data))
            with contextlib.suppress(TimeoutError, OSError):
                await asyncio.wait_for(reader.read(1000), 0.2)
            attacker.drop(writer, reset=change)


async def pipelines(attacker: Attacker) -> None:
    for raw in (
        modern("/polite/mcp", "tools/list"),
        b"GET /livez HTTP/1.1\r\n" + HOST + b"\r\n",
        legacy("/polite/mcp", "ping"),
        modern("/rated/mcp", "tools/list"),
        modern("/polite/mcp", "tools/call", {"name": "nobody"}),
    ):
        reader, writer = await attacker.connect()
        writer.write(raw * 300)
        for _ in range(300):
            await whole(reader)
        attacker.drop(writer)


async def bad_bodies(attacker: Attacker) -> None:
    for body in BODIES:
        reader, writer = await attacker.connect()
        era = attacker.random.choice([b"", b"MCP-Protocol-Version: 2026-07-28\r\n"])
        writer.write(request("/polite/mcp", body, era))
        await whole(reader)
        attacker.drop(writer)


async def hostile_answers(attacker: Attacker) -> None:
    async def call(name: str, meta: dict[str, Any]) -> None:
        reader, writer = await attacker.connect()
        writer.write(modern("/hostile/mcp", "tools/call", {"name": name}, meta))
        with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            await whole(reader)
        attacker.drop(writer)

    calls = [call(way.__name__, meta) for way in WAYS for meta in ({}, {"progressToken": 1}, {})]
    await asyncio.gather(*calls)


async def held_calls(attacker: Attacker) -> None:
    """More than one caller may have under way; each waits until its time is over."""
    for _ in range(600):
        _, writer = await attacker.connect()
        writer.write(modern("/hostile/mcp", "tools/call", {"name": "silence"}))
    await asyncio.sleep(2)


async def stalled_readers(attacker: Attacker) -> None:
    for number in range(20):
        _, writer = await attacker.connect(receive=2048)
        meta = {"progressToken": 1} if number % 2 else {}
        writer.write(modern("/hostile/mcp", "tools/call", {"name": "large"}, meta) * 5)
    await asyncio.sleep(3)


async def resets(attacker: Attacker) -> None:
    echo = modern("/polite/mcp", "tools/call", {"name": "echo"})
    for raw in [echo, modern("/hostile/mcp", "tools/call", {"name": "drip"}), INITIALIZE] * 20:
        _, writer = await attacker.connect()
        writer.write(raw[: attacker.random.randrange(1, len(raw) + 1)])
        await asyncio.sleep(attacker.random.choice([0, 0, 0.005]))
        attacker.drop(writer, reset=True)


async def sessions(attacker: Attacker) -> None:
    for _ in range(5):
        reader, writer = await attacker.connect()
        writer.write(INITIALIZE * 100)
        for _ in range(100):
            await whole(reader)
        attacker.drop(writer)


async def sse_sessions(attacker: Attacker) -> None:
    for _ in range(100):
        _, writer = await attacker.connect()
        writer.write(b"GET /polite/sse HTTP/1.1\r\n" + HOST + b"Accept: text/event-stream\r\n\r\n")
    await asyncio.sleep(1)


async def streams(attacker: Attacker) -> None:
    """Subscriptions beyond what one address may have, all of them silent."""
    listen = modern("/polite/mcp", "subscriptions/listen", {"notifications": {"toolsListChanged": True}})
    for _ in range(1100):
        _, writer = await attacker.connect()
        writer.write(listen)
    await asyncio.sleep(2)


async def standing_streams(attacker: Attacker) -> None:
    get = b"GET /polite/mcp HTTP/1.1\r\n" + HOST + b"Accept: text/event-stream\r\nMcp-Session-Id: %b\r\n\r\n"
    for _ in range(30):
        reader, writer = await attacker.connect()
        writer.write(INITIALIZE)
        session = header(await whole(reader), b"mcp-session-id")
        for _ in range(3):
            _, standing = await attacker.connect()
            standing.write(get % session)
            _, calling = await attacker.connect()
            calling.write(legacy("/polite/mcp", "tools/call", {"name": "echo", "_meta": {"progressToken": 1}}, session))
    await asyncio.sleep(1)


async def strange_heads(attacker: Attacker) -> None:
    """Values that something might remember for ever."""
    reader, writer = await attacker.connect()
    for _ in range(300):
        word = b"%x" % attacker.random.getrandbits(400)
        lines = [b"Host: " + word[:50], b"X-%b: y" % word[:20], b"Accept: %b/x" % word, b"Content-Type: " + word]
        lines += [b"MCP-Protocol-Version: " + word, b"Origin: http://" + word, b"Content-Length: 2"]
        writer.write(b"POST /polite/mcp HTTP/1.1\r\n" + b"\r\n".join(lines) + b"\r\n\r\n{}")
        await whole(reader)


ATTACKS: tuple[Attack, ...] = (
    slow_heads, slow_bodies, silent_connections, kept_connections, garbage, pipelines, bad_bodies, hostile_answers,
    held_calls, stalled_readers, resets, sessions, sse_sessions, streams, standing_streams, strange_heads,
)  # fmt: skip
