"""HTTP/1.1 on the event loop's own terms: one object a connection, parsed by httptools, answered without a task.

The handler's coroutine is stepped by the connection: most calls wait once, for their upstream, and need nothing that
a task would give. An open stream is the connection itself: no task, no queue. asgi.py does the same under any ASGI
server; docs/decisions has the measurement that this class owes its existence to.
"""

from __future__ import annotations

import asyncio
import logging
from http import HTTPStatus

from portico.gateway.exchange import JSON_ONLY, Reply, Request, Stream, text_reply
from portico.gateway.ingress.heads import BadHead
from portico.gateway.ingress.home import Home
from portico.gateway.ingress.leaving import Leaving
from portico.gateway.ingress.request_reader import FOREVER, MOST_PIPELINED, RequestReader
from portico.gateway.ingress.step import Step
from portico.net.outbox import LARGE

log = logging.getLogger("portico.ingress")

_STATUS = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}
_GOODBYE = 1.0


class Connection(RequestReader):
    """One connection of a listener's. It is the outlet of the stream that it carries."""

    __slots__ = ("_is_advancing", "_keep", "_paused", "_step", "_stream")

    def __init__(self, home: Home) -> None:
        super().__init__(home)
        self._step: Step | None = None
        self._stream: Stream | None = None
        self._keep = True
        self._paused = False
        self._is_advancing = False

    # What the event loop says ---------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport
        peer = transport.get_extra_info("peername")
        self._address = peer[0] if isinstance(peer, tuple) else ""
        self.expires = self._home.now + self._home.limits.first_byte
        self._home.remember(self)

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._home.forget(self)
        self._transport = None
        self._queue = None
        self.expires = FOREVER
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.detach()
        if self._step is not None:
            self._step.disconnected()
        self._begin()
        self._parser = None

    def pause_writing(self) -> None:
        self._paused = True
        self.expires = self._home.now + self._home.limits.reader

    def resume_writing(self) -> None:
        self._paused = False
        busy = self._stream is not None or self._step is not None
        self.expires = FOREVER if busy else self._home.now + self._home.limits.idle
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
            self._leave(self._transport)
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
            self._leave(self._transport)
            # Over TLS a client has to close too, and one that idles may not be looking.
            self.expires = self._home.now + _GOODBYE
        elif self._in_head and self._head_size == 0:
            self.expires = min(self.expires, self._home.now + goodbye)

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _is_quiet(self) -> bool:
        """Whether the next request may be answered: nothing is being said, and what was said has been read."""
        return self._step is None and self._stream is None and not self._paused

    def _is_unread(self) -> bool:
        return self._paused

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
            body, more = reply.body, reply.more
            if not more and len(body) < LARGE:
                home.outbox.say(transport, b"%bcontent-length: %d\r\n\r\n%b" % (home.json_head, len(body), body))
            else:
                length = len(body) + sum(map(len, more))
                head = b"%bcontent-length: %d\r\n\r\n" % (home.json_head, length)
                home.outbox.say_long(transport, (head, body, *more))
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
            self._leave(self._transport)
        elif not self._paused:
            self.expires = self._home.now + self._home.limits.idle

    def _send(self, reply: Reply, head_only: bool) -> None:
        body = reply.whole
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
            self._home.outbox.say(self._transport, data)

    def _leave(self, transport: asyncio.Transport) -> None:
        self._home.outbox.flush()
        transport.close()

    def _reject(self, error: BadHead) -> None:
        """Answer what cannot be taken, and close: where the next request would begin is not known."""
        self._keep = False
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        answered = self._step is None and self._stream is None and not self._queue
        if answered:
            self._send(text_reply(error.status, error.message), head_only=False)
        self._home.outbox.flush()
        if answered and transport.can_write_eof():
            Leaving(self._home, transport, self._home.now + _GOODBYE)
            self.connection_lost(None)
        else:
            # Over TLS, to close is to read on until the client closes too.
            transport.close()
            self.expires = self._home.now + _GOODBYE

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
            self.expires = FOREVER
        stream.attach(self)

    def write(self, data: bytes) -> None:
        """A piece of the open stream. A client that lets too much pile up is disconnected."""
        transport = self._transport
        if transport is None or transport.is_closing() or not data:
            return
        self._home.outbox.say(transport, b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)
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
