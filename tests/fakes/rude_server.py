"""An MCP server that misbehaves as its tools are named, in both eras: `python rude_server.py stdio|http [TRAIT…]`.

`echo` behaves well: it tells its nonce with every progress message and with its answer. Over HTTP the port is printed
first, and `GET /sessions` says how many sessions and standing streams there are; an answer is a stream, but for calls
with the argument `plain`. It needs the standard library alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

Json = dict[str, Any]

LONGEST = 64 * 1024 * 1024
HUGE = 100
MILLION = b"x" * 1_000_000
TOKEN = "progressToken"
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(600)"
GRANDCHILD = f"""
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", {STUBBORN!r}], stdout=subprocess.PIPE, start_new_session=True)
child.stdout.readline()
print(child.pid, flush=True)
"""


class Caller:
    """Where the messages about one request go."""

    def __init__(self, message: Json) -> None:
        self.id = message.get("id")
        self.params: Json = message.get("params") or {}
        self.arguments: Json = self.params.get("arguments") or {}

    async def send(self, message: Json) -> None:
        raise NotImplementedError

    async def raw(self, data: bytes) -> None:
        """Bytes that are no message."""
        raise NotImplementedError

    async def close(self) -> None:
        """No more messages: for stdio nobody's, for HTTP none of this request."""
        raise NotImplementedError

    async def huge(self) -> None:
        raise NotImplementedError

    async def answer(self, result: Json, identifier: object = ...) -> None:
        own = self.id if identifier is ... else identifier
        await self.send({"jsonrpc": "2.0", "id": own, "result": {"resultType": "complete", **result}})

    async def say(self, text: str, identifier: object = ...) -> None:
        await self.answer({"content": [{"type": "text", "text": text}]}, identifier)


async def echo(caller: Caller) -> None:
    given, token = caller.arguments, (caller.params.get("_meta") or {}).get(TOKEN)
    for step in range(given.get("steps", 0)):
        if token is not None:
            told = {TOKEN: token, "progress": step, "message": given["nonce"]}
            await caller.send({"jsonrpc": "2.0", "method": "notifications/progress", "params": told})
        await asyncio.sleep(given.get("delay", 0))
    await caller.say(given.get("nonce", "echo"))


async def pid(caller: Caller) -> None:
    await caller.say(str(os.getpid()))


async def hang(caller: Caller) -> None:
    """No answer, ever."""


async def slow(caller: Caller) -> None:
    try:
        await asyncio.sleep(caller.arguments["seconds"])
    except asyncio.CancelledError:
        cancelled.append(caller.arguments)
        raise
    await caller.say("slow")


async def withdrawn(caller: Caller) -> None:
    """How many slow calls were cancelled."""
    await caller.say(str(len(cancelled)))


async def talk(caller: Caller) -> None:
    """A log message, and after a while the answer."""
    params = {"level": "info", "data": "talking"}
    await caller.send({"jsonrpc": "2.0", "method": "notifications/message", "params": params})
    await asyncio.sleep(0.05)
    await caller.say("talked")


async def die(caller: Caller) -> None:
    print("I have had enough", file=sys.stderr, flush=True)
    os._exit(3)


async def garbage(caller: Caller) -> None:
    await caller.raw(b'this is no JSON\n\xff\xfe\x00\n{"jsonrpc":"2.0"}\n[[[[\n')
    await caller.say("after garbage")


async def flood(caller: Caller) -> None:
    for number in range(20_000):
        print(f"line {number} " + "x" * 100, file=sys.stderr)
    await caller.say("flooded")


async def close(caller: Caller) -> None:
    await caller.close()


async def huge(caller: Caller) -> None:
    await caller.huge()


async def twice(caller: Caller) -> None:
    await caller.say("once")
    await caller.say("twice")


async def foreign(caller: Caller) -> None:
    for identifier in (424_242, "text", None):
        await caller.say("foreign", identifier)
    await caller.say("own")


async def ask(caller: Caller) -> None:
    """A question of the legacy era; the answer to it, or its refusal, is the answer to the call."""
    params = {"message": "Who are you?", "requestedSchema": {"type": "object", "properties": {}}}
    number = str(uuid.uuid4())
    answers[number] = asyncio.get_running_loop().create_future()
    await caller.send({"jsonrpc": "2.0", "id": number, "method": "elicitation/create", "params": params})
    told = await answers[number]
    del answers[number]
    await caller.say(json.dumps(told))


async def family(caller: Caller) -> None:
    """Processes that must not be left behind; they ignore SIGTERM, and so do we from then on."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    await caller.say(json.dumps(start_family()))


def start_family() -> list[int]:
    """A child, and a grandchild with a session of its own whose parent is gone."""
    child = subprocess.Popen([sys.executable, "-c", STUBBORN], stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.readline()
    made = subprocess.run([sys.executable, "-c", GRANDCHILD], stdout=subprocess.PIPE, check=True)
    return [os.getpid(), child.pid, int(made.stdout)]


Tool = Callable[[Caller], Awaitable[None]]
TOOLS: dict[str, Tool] = {
    tool.__name__: tool
    for tool in (echo, pid, hang, slow, withdrawn, talk, die, garbage, flood, close, huge, twice, foreign, ask, family)
}
answers: dict[str, asyncio.Future[Json]] = {}
cancelled: list[Json] = []
INFO = {"name": "rude", "version": "1"}


async def handle(method: str, caller: Caller) -> None:
    if method == "initialize":
        version = caller.params["protocolVersion"]
        await caller.answer(
            {"protocolVersion": version, "capabilities": {"tools": {"listChanged": True}}, "serverInfo": INFO}
        )
    elif method == "server/discover":
        await caller.answer(
            {"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}, "serverInfo": INFO, "ttlMs": 0}
        )
    elif method == "tools/call" and caller.params["name"] not in TOOLS:
        await caller.send({"jsonrpc": "2.0", "id": caller.id, "error": {"code": -32602, "message": "No such tool"}})
    elif method == "tools/call":
        await TOOLS[caller.params["name"]](caller)
    elif method == "tools/list":
        await caller.answer({"tools": [{"name": name, "inputSchema": {"type": "object"}} for name in TOOLS]})
    elif method == "ping":
        await caller.answer({})
    else:
        error = {"code": -32601, "message": "Method not found"}
        await caller.send({"jsonrpc": "2.0", "id": caller.id, "error": error})


def answered(message: Json) -> None:
    waiting = answers.get(message.get("id", ""))
    if waiting is not None and not waiting.done():
        waiting.set_result(message.get("result") or message.get("error") or {})


class StdioCaller(Caller):
    async def send(self, message: Json) -> None:
        await self.raw(json.dumps(message).encode() + b"\n")

    async def raw(self, data: bytes) -> None:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()

    async def close(self) -> None:
        os.close(1)

    async def huge(self) -> None:
        await self.raw(b'{"jsonrpc":"2.0","id":%d,"result":{"text":"' % int(str(self.id)))
        for _ in range(HUGE):
            await self.raw(MILLION)
        await self.raw(b'"}}\n')


async def serve_stdio(traits: set[str]) -> None:
    if "exit" in traits:
        sys.exit("cannot find my configuration")
    reader = asyncio.StreamReader(limit=LONGEST)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    tasks: dict[object, asyncio.Task[None]] = {}
    while line := await reader.readline():
        message = json.loads(line)
        method, identifier = message.get("method"), message.get("id")
        if "deaf" in traits:
            continue
        if method is None:
            answered(message)
        elif identifier is not None:
            tasks[identifier] = asyncio.create_task(handle(method, StdioCaller(message)))
            tasks[identifier].add_done_callback(lambda _, done=identifier: tasks.pop(done))
        elif method == "notifications/cancelled":
            found = tasks.get(message["params"].get("requestId"))
            if found is not None:
                found.cancel()
    # One that has children which ignore SIGTERM does not leave either when it is asked to.
    if signal.getsignal(signal.SIGTERM) is signal.SIG_IGN:
        await asyncio.sleep(600)


class HttpCaller(Caller):
    """A stream, from the first message on."""

    session = ""

    def __init__(self, message: Json, writer: asyncio.StreamWriter) -> None:
        super().__init__(message)
        self._writer = writer
        self._begun = False

    async def send(self, message: Json) -> None:
        if self.arguments.get("plain") and not self._begun:
            self._writer.write(json_reply(200, message))
        else:
            await self.raw(b"data: " + json.dumps(message).encode() + b"\n\n")

    async def raw(self, data: bytes) -> None:
        if not self._begun:
            self._begun = True
            head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n"
            self._writer.write(head + session_line(self.session) + b"\r\n")
        self._writer.write(b"%x\r\n%b\r\n" % (len(data), data))
        await self._writer.drain()

    async def close(self) -> None:
        await self.raw(b"data: {")
        self._writer.close()

    async def huge(self) -> None:
        size = HUGE * len(MILLION) + 200
        self._writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % size)
        with contextlib.suppress(ConnectionError):
            for _ in range(HUGE):
                self._writer.write(MILLION)
                await self._writer.drain()
        self._writer.close()

    def end(self) -> None:
        if self._begun:
            self._writer.write(b"0\r\n\r\n")


class SseCaller(Caller):
    def __init__(self, message: Json, writer: asyncio.StreamWriter) -> None:
        super().__init__(message)
        self._writer = writer

    async def send(self, message: Json) -> None:
        self._writer.write(b"data: " + json.dumps(message).encode() + b"\n\n")
        await self._writer.drain()

    async def raw(self, data: bytes) -> None:
        self._writer.write(b"".join(b"data: " + line + b"\n\n" for line in data.splitlines()))

    async def close(self) -> None:
        self._writer.close()

    async def huge(self) -> None:
        self._writer.write(b"data: ")
        with contextlib.suppress(ConnectionError):
            for _ in range(HUGE):
                self._writer.write(MILLION)
                await self._writer.drain()


def session_line(identifier: str) -> bytes:
    return f"Mcp-Session-Id: {identifier}\r\n".encode() if identifier else b""


def json_reply(status: int, body: Json) -> bytes:
    data = json.dumps(body).encode()
    head = f"HTTP/1.1 {status} x\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
    return head.encode() + data


class HttpServer:
    def __init__(self) -> None:
        self.sessions: set[str] = set()
        self.standing = 0
        self._tasks: dict[object, asyncio.Task[None]] = {}
        self._streams: dict[str, asyncio.StreamWriter] = {}

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while not writer.is_closing():
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:])}
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                await self._take(head[0], headers.get("mcp-session-id", ""), body, reader, writer)
                await writer.drain()
        writer.close()

    async def _take(
        self, line: str, session: str, body: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if line.startswith("GET /sse"):
            await self._sse(reader, writer)
        elif line.startswith("POST /message"):
            self._reply(writer, 202, {})
            self._told(json.loads(body), self._streams.get(line.split()[1].partition("=")[2]))
        elif line.startswith("GET /sessions"):
            self._reply(writer, 200, {"sessions": len(self.sessions), "standing": self.standing})
        elif session and session not in self.sessions:
            self._reply(writer, 404, {})
        elif line.startswith("DELETE"):
            self.sessions.discard(session)
            self._reply(writer, 200, {})
        elif line.startswith("GET"):
            await self._stand(reader, writer)
        else:
            await self._post(json.loads(body), reader, writer)

    async def _stand(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        self.standing += 1
        try:
            await reader.read()
        finally:
            self.standing -= 1
        writer.close()

    async def _sse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """The transport of 2024-11-05: answers go to a stream that stays open."""
        name = str(uuid.uuid4())
        self._streams[name] = writer
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        writer.write(f"event: endpoint\ndata: /message?session={name}\n\n".encode())
        await reader.read()
        del self._streams[name]
        writer.close()

    def _told(self, message: Json, stream: asyncio.StreamWriter | None) -> None:
        if message.get("method") == "notifications/cancelled":
            found = self._tasks.pop(message["params"].get("requestId"), None)
            if found is not None:
                found.cancel()
        elif "method" not in message:
            answered(message)
        elif "id" in message and stream is not None:
            self._tasks[message["id"]] = asyncio.create_task(handle(message["method"], SseCaller(message, stream)))

    async def _post(self, message: Json, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if "method" not in message or "id" not in message:
            answered(message)
            if message.get("method") == "notifications/cancelled":
                found = self._tasks.get(message["params"]["requestId"])
                if found is not None:
                    found.cancel()
            self._reply(writer, 202, {})
            return
        caller = HttpCaller(message, writer)
        if message["method"] == "initialize":
            caller.session = str(uuid.uuid4())
            self.sessions.add(caller.session)
        task = self._tasks[caller.id] = asyncio.create_task(handle(message["method"], caller))
        await asyncio.wait([task])
        self._tasks.pop(caller.id, None)
        if task.cancelled():
            writer.close()
            return
        task.result()
        if message.get("params", {}).get("name") == "hang":
            await reader.read()
            writer.close()
        caller.end()

    def _reply(self, writer: asyncio.StreamWriter, status: int, body: Json) -> None:
        writer.write(json_reply(status, body))


async def serve_http(port: int) -> None:
    server = await asyncio.start_server(HttpServer().connected, "127.0.0.1", port, limit=LONGEST, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    kind, *rest = sys.argv[1:]
    asyncio.run(serve_stdio(set(rest)) if kind == "stdio" else serve_http(int(rest[0]) if rest else 0))
