"""One JSON line per request, written before its client has the whole answer, or when the client is gone.

Tests of the gateway read these lines to see what really reached the service, so the request is noted as it came
over the wire: the path undecoded, the query unparsed, the body read even where the route ignores it.
"""

import base64
import json
from codecs import getincrementaldecoder
from collections.abc import Callable
from time import perf_counter
from typing import Any, TextIO

from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY = 16 * 1024 * 1024
MAX_NOTED = 64 * 1024


def joined(headers: list[tuple[bytes, bytes]]) -> dict[str, str]:
    """Headers by lower-case name; a repeated one is joined as RFC 9110, section 5.3, allows."""
    named: dict[str, str] = {}
    for raw_name, raw_value in headers:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        separator = "; " if name == "cookie" else ", "
        named[name] = f"{named[name]}{separator}{value}" if name in named else value
    return named


def readable(body: bytes, whole: bool = True) -> dict[str, str]:
    """The body as text where it is UTF-8, else as base64 under another name.

    A body that is not `whole` may end within a character, which is then left out.
    """
    try:
        return {"body": getincrementaldecoder("utf-8")().decode(body, final=whole)}
    except UnicodeDecodeError:
        return {"bodyBase64": base64.b64encode(body).decode()}


class Journal:
    """ASGI middleware around the whole service."""

    def __init__(self, app: ASGIApp, stream: TextIO | None) -> None:
        self.app = app
        self.stream = stream

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        visit = Visit(scope, receive, send, self.write)
        try:
            if await visit.read_body():
                await self.app(scope, visit.receive, visit.send)
            elif not visit.gone:
                await visit.refuse()
        finally:
            visit.note()

    def write(self, line: dict[str, Any]) -> None:
        if self.stream is not None:
            self.stream.write(json.dumps(line, ensure_ascii=False) + "\n")
            self.stream.flush()


class Visit:
    """One request from its first byte to its outcome."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, write: Callable[[dict[str, Any]], None]) -> None:
        self.scope = scope
        self.inner_receive = receive
        self.inner_send = send
        self.write = write
        self.started = perf_counter()
        self.body = b""
        self.replayed = False
        self.status: int | None = None
        self.finished = False
        self.gone = False
        self.noted = False
        self.head: Message | None = None

    async def read_body(self) -> bool:
        """Read the whole body; false when it is too large or the client left before its end."""
        while len(self.body) <= MAX_BODY:
            message = await self.inner_receive()
            if message["type"] == "http.disconnect":
                self.gone = True
                return False
            self.body += message.get("body", b"")
            if not message.get("more_body", False):
                return len(self.body) <= MAX_BODY
        return False

    async def refuse(self) -> None:
        headers = [(b"content-type", b"application/problem+json"), (b"connection", b"close")]
        await self.send({"type": "http.response.start", "status": 413, "headers": headers})
        await self.send({"type": "http.response.body", "body": b'{"status": 413, "title": "Content Too Large"}'})

    async def receive(self) -> Message:
        if not self.replayed:
            self.replayed = True
            return {"type": "http.request", "body": self.body, "more_body": False}
        message = await self.inner_receive()
        # The server also says "disconnect" to whoever still listens after a complete answer.
        if message["type"] == "http.disconnect" and not self.finished:
            self.gone = True
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start" and not self.gone:
            self.status = message["status"]
            if any(name == b"content-length" for name, _ in message.get("headers", ())):
                self.head = message  # It leaves with the body, because it may be all that a client waits for.
                return
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            self.finished = True
            self.note()  # Before the last bytes leave, so that whoever has the answer finds the line.
        if self.head is not None:
            head, self.head = self.head, None
            await self.inner_send(head)
        await self.inner_send(message)

    def note(self) -> None:
        """Write the line, once."""
        if not self.noted:
            self.noted = True
            self.write(self.line())

    def line(self) -> dict[str, Any]:
        """What the log says: times in milliseconds, `status` null when nobody was left to receive one."""
        return {
            "method": self.scope["method"],
            "path": self.scope.get("raw_path", self.scope["path"].encode()).decode("latin-1"),
            "query": self.scope["query_string"].decode("latin-1"),
            "headers": joined(self.scope["headers"]),
            **readable(self.body[:MAX_NOTED], whole=len(self.body) <= MAX_NOTED),
            "bodySize": len(self.body),
            "status": self.status,
            "duration_ms": round((perf_counter() - self.started) * 1000, 3),
            "outcome": "disconnected" if self.gone else "completed",
        }
