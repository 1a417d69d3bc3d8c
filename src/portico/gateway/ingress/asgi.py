"""Every route and every stream under any ASGI server. What http1.py does without one is done here by the book."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from portico.gateway.exchange import Headers, Reply, Request, Stream, text_reply
from portico.gateway.ingress.heads import BadHead, HeadLimits, unique_headers
from portico.gateway.ingress.home import Callers, Handler, Patience

log = logging.getLogger("portico.ingress")

Scope = MutableMapping[str, Any]
Event = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]


class GatewayApp:
    """The public listener. `in_flight` counts requests that have not been answered, streams not included."""

    def __init__(self, handler: Handler, callers: Callers, max_body: int, limits: Patience, heads: HeadLimits) -> None:
        self._handler = handler
        self._callers = callers
        self._max_body = max_body
        self._limits = limits
        self._heads = heads
        self.in_flight = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
        elif scope["type"] == "http":
            await self._serve(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            request = self._request(scope)
            request.body = await _read(request.headers, receive, self._max_body)
        except BadHead as error:
            # What is left of the body is not read, so the connection cannot be used again.
            await _send(send, text_reply(error.status, error.message, ((b"connection", b"close"),)))
            return
        except ClientGone:
            return
        task = asyncio.current_task()
        assert task is not None
        request.cancel = task.cancel
        watch = asyncio.ensure_future(_disconnected(receive, request))
        self.in_flight += 1
        try:
            reply = await self._handle(request)
        except asyncio.CancelledError:
            if request.on_disconnect is None:
                raise
            return
        finally:
            self.in_flight -= 1
            if not watch.done():
                watch.cancel()
        if reply.stream is None:
            await _send(send, reply, head_only=request.method == "HEAD")
        else:
            await _pump(reply, reply.stream, receive, send, self._limits)

    def _request(self, scope: Scope) -> Request:
        headers = unique_headers(list(scope["headers"]), self._heads)
        path, query = scope.get("raw_path") or scope["path"].encode(), scope["query_string"]
        if len(path) + len(query) > self._heads.url:
            raise self._heads.too_long()
        client = scope.get("client")
        peer = client[0] if client else ""
        address, scheme, handed_over = self._callers.client(peer, scope.get("scheme", "http"), headers)
        return Request(
            scope["method"],
            path,
            query,
            headers,
            b"",
            address=address,
            scheme=scheme,
            handed_over=handed_over,
        )

    async def _handle(self, request: Request) -> Reply:
        try:
            return await self._handler.handle(request)
        except Exception:
            log.exception("%s %s failed", request.method, request.path.decode("latin-1"))
            return text_reply(500, "Internal error; the gateway's log says more.")


class ClientGone(Exception):
    """The client closed the connection before its request was complete."""


async def _read(headers: Headers, receive: Receive, most: int) -> bytes:
    length = headers.get(b"content-length", b"")
    if length.isdigit() and int(length) > most:
        raise BadHead(413, f"The body is larger than {most} bytes.")
    event = await receive()
    body = event.get("body", b"")
    if event["type"] == "http.disconnect":
        raise ClientGone
    parts, size = [body], len(body)
    while event.get("more_body") and size <= most:
        event = await receive()
        if event["type"] == "http.disconnect":
            raise ClientGone
        parts.append(event.get("body", b""))
        size += len(parts[-1])
    if size > most:
        raise BadHead(413, f"The body is larger than {most} bytes.")
    return b"".join(parts)


async def _disconnected(receive: Receive, request: Request) -> None:
    """Runs beside the handler until it is done, and tells it when the client is gone first."""
    while (await receive())["type"] != "http.disconnect":
        pass
    if request.on_disconnect is not None:
        request.on_disconnect()


async def _send(send: Send, reply: Reply, *, head_only: bool = False) -> None:
    # Neither 204 nor 202 without a body needs a length, but keep-alive clients wait for one.
    headers, body = list(reply.headers), reply.whole
    if reply.status != 204:
        headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if head_only else body})


class AsgiOutlet:
    """Bytes of a streamed reply on their way. More than `most` waiting means a client that does not read."""

    def __init__(self, task: asyncio.Task[Any], most: int) -> None:
        self._task = task
        self._most = most
        self._waiting: list[bytes] = []
        self._size = 0
        self._wake = asyncio.Event()
        self.closed = False

    def write(self, data: bytes) -> None:
        self._waiting.append(data)
        self._size += len(data)
        if self._size > self._most:
            self._task.cancel()
        self._wake.set()

    def close(self) -> None:
        self.closed = True
        self._wake.set()

    async def take(self) -> bytes:
        """The next bytes, or none when the stream has come to its end."""
        while not self._waiting and not self.closed:
            self._wake.clear()
            await self._wake.wait()
        data, self._waiting, self._size = b"".join(self._waiting), [], 0
        return data


async def _pump(reply: Reply, stream: Stream, receive: Receive, send: Send, limits: Patience) -> None:
    task = asyncio.current_task()
    assert task is not None
    outlet = AsgiOutlet(task, limits.unread)
    gone = asyncio.ensure_future(_gone(receive, outlet, stream))
    try:
        await send({"type": "http.response.start", "status": reply.status, "headers": list(reply.headers)})
        stream.attach(outlet)
        while data := await outlet.take():
            async with asyncio.timeout(limits.reader):
                await send({"type": "http.response.body", "body": data, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
    except (TimeoutError, asyncio.CancelledError):
        log.info("a stream was dropped: its client does not read")
    finally:
        gone.cancel()
        stream.detach()


async def _gone(receive: Receive, outlet: AsgiOutlet, stream: Stream) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    stream.detach()
    outlet.close()


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        event = await receive()
        await send({"type": f"{event['type']}.complete"})
        if event["type"] == "lifespan.shutdown":
            return
