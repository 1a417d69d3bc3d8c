"""HTTP/1.1 on the event loop's own terms: one object a connection, parsed by httptools, answered without a task.

The handler's coroutine is stepped by the connection: most calls wait once, for their upstream, and need nothing that
a task would give. An open stream is the connection itself: no task, no queue. asgi.py does the same under any ASGI
server; docs/decisions has the measurement that this class owes its existence to.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections import deque
from collections.abc import Coroutine
from http import HTTPStatus
from typing import Any, Protocol

import httptools

from portico.gateway.exchange import JSON_ONLY, Headers, Reply, Request, Stream, text_reply
from portico.gateway.ingress.heads import BadHead, HeadLimits, framing, join_header, names_host
from portico.gateway.ingress.known_heads import KnownHead, KnownHeads
from portico.gateway.ingress.leaving import Guest, Leaving
from portico.net.waiting import Waiting

log = logging.getLogger("portico.ingress")

MOST_PIPELINED = 32
_STATUS = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_FOREVER = float("inf")
_GOODBYE = 1.0
# Callbacks run in this one context, so that none is copied for each request.
_CONTEXT = contextvars.Context()


class Handler(Protocol):
    def handle(self, request: Request) -> Coroutine[Any, Any, Reply]: ...


class Callers(Protocol):
    """Who is asking: address, scheme, and whether another worker handed the request over."""

    def client(self, peer: str, scheme: str, headers: Headers) -> tuple[str, str, bool]: ...


class Home(Protocol):
    """What a connection needs of its listener."""

    handler: Handler
    callers: Callers
    max_body: int
    heads: HeadLimits
    scheme: str
    now: float
    date: bytes
    json_head: bytes
    """What a whole JSON answer begins with, up to its length."""
    known: KnownHeads
    in_flight: int
    draining: bool

    @property
    def limits(self) -> Patience: ...

    def remember(self, connection: Guest) -> None: ...
    def forget(self, connection: Guest) -> None: ...


class Patience(Protocol):
    """Seconds: until the first byte, for the head, for the body and between its pieces, between requests, and for a
    reader that takes nothing; and the most bytes that wait for it."""

    @property
    def first_byte(self) -> float: ...
    @property
    def head(self) -> float: ...
    @property
    def body(self) -> float: ...
    @property
    def body_idle(self) -> float: ...
    @property
    def idle(self) -> float: ...
    @property
    def reader(self) -> float: ...
    @property
    def unread(self) -> int: ...


class Connection(asyncio.Protocol):
    __slots__ = (
        "_address",
        "_bad",
        "_body",
        "_body_until",
        "_chunked",
        "_framed",
        "_head_size",
        "_headers",
        "_home",
        "_in_head",
        "_is_advancing",
        "_keep",
        "_learning",
        "_offers",
        "_parser",
        "_paused",
        "_queue",
        "_resuming",
        "_segment",
        "_size",
        "_step",
        "_stream",
        "_transport",
        "_url",
        "expires",
    )

    def __init__(self, home: Home) -> None:
        self._home = home
        self._parser: Any = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._address = ""
        self._queue: deque[tuple[Request | BadHead, bool]] | None = None
        self._step: Step | None = None
        self._stream: Stream | None = None
        self._keep = True
        self._chunked = True
        self._paused = False
        self._is_advancing = False
        self._learning: bytes | None = None
        self._resuming = False
        self._segment = 0
        self._body_until = _FOREVER
        self._begin()
        self.expires = _FOREVER

    def _begin(self) -> None:
        """Ready for the next request's head."""
        self._url = b""
        self._headers: Headers = {}
        self._bad: BadHead | None = None
        self._body: bytes | list[bytes] = b""
        self._size = 0
        self._head_size = self._framed = 0
        self._in_head = True
        self._offers = False

    # What the event loop says ---------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport
        peer = transport.get_extra_info("peername")
        self._address = peer[0] if isinstance(peer, tuple) else ""
        self.expires = self._home.now + self._home.limits.first_byte
        self._home.remember(self)

    def data_received(self, data: bytes) -> None:
        self._segment = len(data)
        if self._in_head:
            if self._head_size == 0 and self._is_quiet():
                home = self._home
                if not self._queue and len(data) <= home.max_body:
                    found = home.known.find(data)
                    if found is not None:
                        self._take(*found)
                        return
                    self._learning = data
                self.expires = home.now + home.limits.head
            self._head_size += len(data)
        else:
            self._framed += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._ignore_offers(data[upgrade.args[0] :])
        except httptools.HttpParserError:
            self._refuse_garbage()
        else:
            limits = self._home.heads
            if self._in_head and self._head_size > limits.url + limits.size:
                self._reject(limits.too_large())
            elif self._framed > 2 * self._size + limits.size:
                self._reject(BadHead(413, "The chunks of the body are wrapped in more than they hold."))

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._home.forget(self)
        self._transport = None
        self._queue = None
        self.expires = _FOREVER
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.detach()
        if self._step is not None:
            self._step.disconnected()
        self._parser = None

    def pause_writing(self) -> None:
        self._paused = True
        self.expires = self._home.now + self._home.limits.reader

    def resume_writing(self) -> None:
        self._paused = False
        busy = self._stream is not None or self._step is not None
        self.expires = _FOREVER if busy else self._home.now + self._home.limits.idle
        if not busy and self._queue:
            self._next()

    def expire(self) -> None:
        """Called by the listener's sweep when `expires` has passed: say why where somebody may still read it."""
        if self._transport is None:
            return
        if self._transport.is_closing():
            self._transport.abort()
        elif self._paused:
            log.info("A client at %s does not read what it asked for; it was disconnected.", self._address)
            self._transport.abort()
        elif self._in_head and self._head_size == 0:
            self._transport.close()
        else:
            self._reject(BadHead(408, "The request did not arrive in time."))

    def finish(self, goodbye: float) -> None:
        """The listener drains: leave after the reply under way, or when nothing has been asked for `goodbye` seconds.

        A request that is on its way already would be lost if an idle connection were closed at once.
        """
        self._keep = False
        if self._step is not None or self._stream is not None or self._transport is None:
            return
        if self._paused or not goodbye:
            self._transport.close()
            # Over TLS a client has to close too, and one that idles may not be looking.
            self.expires = self._home.now + _GOODBYE
        elif self._in_head and self._head_size == 0:
            self.expires = min(self.expires, self._home.now + goodbye)

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    # What the parser says -------------------------------------------------------------------------------------------

    def _is_quiet(self) -> bool:
        """Whether the next request may be answered: nothing is being said, and what was said has been read."""
        return self._step is None and self._stream is None and not self._paused

    def on_url(self, url: bytes) -> None:
        if self._resuming:
            return
        self._url = self._url + url if self._url else url

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_head or self._resuming:
            return  # Trailers are nobody's business here, and must not pass for headers.
        name = name.lower()
        headers = self._headers
        if name in headers:
            try:
                headers[name] = join_header(name, headers[name], value)
            except BadHead as error:
                self._bad = self._bad or error
        else:
            headers[name] = value

    def on_headers_complete(self) -> None:
        if self._resuming:
            return
        self._in_head = False
        headers = self._headers
        if self._bad is None:
            self._bad = self._judge_head(headers)
        if b"upgrade" in headers and self._parser is not None:
            self._offers = self._parser.should_upgrade()
        if self._is_quiet() and not self._queue:
            if self._bad is not None:
                # A client may wait for this answer before it sends the body.
                self._reject(self._bad)
                return
            if headers.get(b"expect", b"").lower() == b"100-continue":
                self._write(_CONTINUE)
            limits, now = self._home.limits, self._home.now
            self._body_until = now + limits.body
            self.expires = min(self._body_until, now + limits.body_idle)

    def _judge_head(self, headers: Headers) -> BadHead | None:
        limits = self._home.heads
        if len(self._url) > limits.url:
            return limits.too_long()
        if len(headers) > limits.headers:
            return limits.too_many()
        # What came in too few bytes for that need not be summed.
        if self._segment + self._head_size > limits.size and _size(headers) > limits.size:
            return limits.too_large()
        if b"host" not in headers:
            return BadHead(400, "The Host header is missing.")
        if self._url[:1] != b"/" and not names_host(self._url, headers[b"host"]):
            return BadHead(400, "The request's target names another host than its Host header.")
        length = headers.get(b"content-length")
        if length is not None and len(length) > 6 and int(length) > self._home.max_body:
            return self._too_large()
        return None

    def _too_large(self) -> BadHead:
        return BadHead(413, f"The body is larger than {self._home.max_body} bytes.")

    def on_body(self, body: bytes) -> None:
        self._size += len(body)
        if self._size > self._home.max_body:
            self._bad = self._bad or self._too_large()
        if self._bad is not None:
            # Nobody will read the rest, so it is not waited for either.
            self._reject(self._bad)
        elif not self._body:
            self._body = body
        elif isinstance(self._body, list):
            self._body.append(body)
        else:
            self._body = [self._body, body]
        if self._is_quiet():
            self.expires = min(self._body_until, self._home.now + self._home.limits.body_idle)

    def on_message_complete(self) -> None:
        if self._offers and not self._resuming:
            return  # The parser stops here; see _ignore_offers.
        if self._transport is None or self._transport.is_closing():
            return
        keep = self._parser.should_keep_alive() if self._parser is not None else False
        version = self._parser.get_http_version() if self._parser is not None else "1.1"
        if version not in ("1.1", "1.0"):
            self._bad = self._bad or BadHead(400, "Only HTTP/1.1 and HTTP/1.0 are spoken here.")
        item: Request | BadHead = self._bad if self._bad is not None else self._request()
        chunked = version == "1.1"
        if self._learning is not None:
            if keep and chunked and isinstance(item, Request):
                item.known = self._home.known.learn(self._learning, item)
            self._learning = None
        self._begin()
        if not self._paused:
            self.expires = _FOREVER
        if self._is_quiet() and not self._queue:
            self._chunked = chunked
            self._start(item, keep)
            return
        if self._queue is None:
            self._queue = deque()
        self._queue.append((item, keep))
        if len(self._queue) >= MOST_PIPELINED:
            self._transport.pause_reading()

    def _take(self, known: KnownHead, length: bytes, body: bytes) -> None:
        """A whole request with a head that the parser knows: what on_message_complete would make of it."""
        home, headers = self._home, known.headers
        if headers[b"content-length"] != length:
            headers = {**headers, b"content-length": length}
        address, scheme, handed_over = home.callers.client(self._address, home.scheme, headers)
        self.expires = _FOREVER
        self._chunked = True
        request = Request(known.method, known.path, known.query, headers, body, address, scheme, handed_over, known)
        self._start(request, True)

    def _request(self) -> Request:
        url = self._url
        if url[:1] != b"/":
            parsed = httptools.parse_url(url) if url != b"*" else None
            path, query = (parsed.path or b"/", parsed.query or b"") if parsed is not None else (url, b"")
        else:
            path, _, query = url.partition(b"?")
        headers, home = self._headers, self._home
        address, scheme, handed_over = home.callers.client(self._address, home.scheme, headers)
        body = self._body if isinstance(self._body, bytes) else b"".join(self._body)
        method = self._parser.get_method().decode("ascii")
        return Request(method, path, query, headers, body, address, scheme, handed_over)

    # Handling -------------------------------------------------------------------------------------------------------

    def _start(self, item: Request | BadHead, keep: bool) -> None:
        if not keep or self._home.draining:
            self._keep = False
        if isinstance(item, BadHead):
            self._queue = None
            self._reject(item)
            return
        self._home.in_flight += 1
        self._step = step = Step(self, item, self._home.handler.handle(item))
        item.cancel = step.cancel
        step.run(None)

    def done(self, step: Step, reply: Reply, head_only: bool) -> None:
        """The handler has come to its end."""
        home, transport = self._home, self._transport
        home.in_flight -= 1
        self._step = None
        if transport is None or transport.is_closing():
            if reply.stream is not None:
                reply.stream.detach()
            return
        if reply.stream is not None:
            self._open_stream(reply, reply.stream)
            return
        if reply.headers is JSON_ONLY and reply.status == 200 and self._keep and not head_only:
            # Nearly every answer looks like this, so that its head is kept ready.
            body = reply.body
            transport.write(b"%bcontent-length: %d\r\n\r\n%b" % (home.json_head, len(body), body))
        else:
            self._send(reply, head_only)
        if self._queue or self._paused or not self._keep:
            self._next()
        elif not self._is_advancing:
            self.expires = home.now + home.limits.idle

    def _next(self) -> None:
        """The reply is out: the requests that wait, or the next that comes.

        A loop, for those that are answered at once end up here again, and there may be thousands.
        """
        if self._is_advancing:
            return
        self._is_advancing = True
        while self._queue and self._keep and self._transport is not None and self._is_quiet():
            item, keep = self._queue.popleft()
            if len(self._queue) == MOST_PIPELINED - 1:
                self._transport.resume_reading()
            self._start(item, keep)
        self._is_advancing = False
        if self._transport is None or self._step is not None or self._stream is not None:
            return
        if not self._keep:
            self._transport.close()
        elif not self._paused:
            self.expires = self._home.now + self._home.limits.idle

    def _send(self, reply: Reply, head_only: bool) -> None:
        body = reply.body
        parts = [_STATUS.get(reply.status) or _STATUS[500], self._home.date]
        for name, value in reply.headers:
            parts += (name, b": ", value, b"\r\n")
        if reply.status != 204:
            parts.append(b"content-length: %d\r\n" % len(body))
        if not self._keep:
            parts.append(b"connection: close\r\n")
        parts.append(b"\r\n")
        if body and not head_only:
            parts.append(body)
        self._write(b"".join(parts))

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def _reject(self, error: BadHead) -> None:
        """Answer what cannot be taken, and close: where the next request would begin is not known."""
        self._keep = False
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        answered = self._step is None and self._stream is None and not self._queue
        if answered:
            self._send(text_reply(error.status, error.message), head_only=False)
        if answered and transport.can_write_eof():
            Leaving(self._home, transport, self._home.now + _GOODBYE)
            self.connection_lost(None)
        else:
            # Over TLS, to close is to read on until the client closes too.
            transport.close()
            self.expires = self._home.now + _GOODBYE

    def _refuse_garbage(self) -> None:
        self._reject(self._bad or BadHead(400, "This is not HTTP/1.1, or not without ambiguity."))

    def _ignore_offers(self, rest: bytes) -> None:
        """Some clients offer HTTP/2 on their first request. It is answered in HTTP/1.1, as the offer allows.

        The parser stops behind the head of such a request, so that its body would be taken for the next request: a new
        parser is told how long it is.
        """
        while self._transport is not None and not self._transport.is_closing():
            head = framing(self._parser.get_method(), self._parser.get_http_version(), self._headers)
            self._parser = httptools.HttpRequestParser(self)
            self._offers = False
            try:
                self._resuming = True
                self._parser.feed_data(head)
                self._resuming = False
                self._parser.feed_data(rest)
                return
            except httptools.HttpParserUpgrade as upgrade:
                rest = rest[upgrade.args[0] :]
            except httptools.HttpParserError:
                self._refuse_garbage()
                return

    # Streams --------------------------------------------------------------------------------------------------------

    def _open_stream(self, reply: Reply, stream: Stream) -> None:
        parts = [_STATUS[reply.status], self._home.date]
        for name, value in reply.headers:
            parts += (name, b": ", value, b"\r\n")
        if self._chunked:
            parts.append(b"transfer-encoding: chunked\r\n")
        else:
            self._keep = False
        if not self._keep:
            parts.append(b"connection: close\r\n")
        parts.append(b"\r\n")
        self._write(b"".join(parts))
        self._stream = stream
        if not self._paused:
            self.expires = _FOREVER
        stream.attach(self)

    def write(self, data: bytes) -> None:
        """A piece of the open stream. A client that lets too much pile up is disconnected."""
        transport = self._transport
        if transport is None or transport.is_closing() or not data:
            return
        transport.write(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)
        if self._paused and transport.get_write_buffer_size() > self._home.limits.unread:
            log.info("A client at %s lets too much pile up; it was disconnected.", self._address)
            transport.abort()

    def close(self) -> None:
        """The stream has come to its end, from our side."""
        if self._stream is None:
            return
        self._stream = None
        if self._chunked:
            self._write(b"0\r\n\r\n")
        self._next()


def _size(headers: Headers) -> int:
    return sum(len(name) + len(value) for name, value in headers.items())


def _nothing() -> None:
    """There is nothing left to cancel."""


class Step:
    """A handler's coroutine, stepped without a task: it runs until it waits for a future, whose callback steps on."""

    __slots__ = ("_cancelling", "_connection", "_coroutine", "_request", "_waiting")

    def __init__(self, connection: Connection, request: Request, coroutine: Coroutine[Any, Any, Reply]) -> None:
        self._connection = connection
        self._request = request
        self._coroutine = coroutine
        self._waiting: asyncio.Future[Any] | None = None
        self._cancelling = False

    def run(self, _: object) -> None:
        self._waiting = None
        try:
            if self._cancelling:
                self._cancelling = False
                future = self._coroutine.throw(asyncio.CancelledError())
            else:
                future = self._coroutine.send(None)
        except StopIteration as stop:
            self._end(stop.value)
        except asyncio.CancelledError:
            self._end(text_reply(503, "The call was cancelled."))
        except Exception:
            log.exception("%s %s failed", self._request.method, self._request.path.decode("latin-1"))
            self._end(text_reply(500, "Internal error; the gateway's log says more."))
        else:
            self._wait(future)

    def _end(self, reply: Reply) -> None:
        # The request knows the step and the step the request: parted here, neither waits for the garbage collector.
        request = self._request
        request.cancel, request.on_disconnect = _nothing, None
        self._connection.done(self, reply, request.method == "HEAD")

    def _wait(self, future: asyncio.Future[Any] | None) -> None:
        if future is None:
            asyncio.get_running_loop().call_soon(self.run, None, context=_CONTEXT)
            return
        # This is how a task tells a future that it is being awaited properly.
        future._asyncio_future_blocking = False
        self._waiting = future
        if type(future) is Waiting and future.resume is None:
            future.resume = self.run
        else:
            future.add_done_callback(self.run, context=_CONTEXT)

    def cancel(self) -> None:
        """Make the current wait raise CancelledError."""
        waiting = self._waiting
        if waiting is None or not waiting.cancel():
            self._cancelling = True

    def disconnected(self) -> None:
        if self._request.on_disconnect is not None:
            self._request.on_disconnect()
