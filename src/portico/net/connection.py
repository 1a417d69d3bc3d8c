"""One HTTP/1.1 connection: writes a rendered request, reads one answer at a time. This is the hot path of every call.

The answer that arrives whole in one read is by far the most frequent, so `data_received` finishes it by itself and
touches no state that it would have to reset. Everything else (several reads, informational answers, HEAD, codings,
streams) is put together by an Answer. The parser judges every byte, but is given no callback for headers: what it found
valid can be cut out of the bytes themselves. Nothing here waits or sets a timer: the pool's sweep calls `check`.
"""

import asyncio
from typing import Any, Protocol

import httptools

from portico.net.answer import Answer, too_large
from portico.net.breaker import Breaker
from portico.net.errors import Malformed, NetError, TimedOut, Unreachable
from portico.net.known_answers import KnownAnswers
from portico.net.limits import ClientLimits
from portico.net.outbox import Outbox
from portico.net.response import Head, Response
from portico.net.streaming import StreamingResponse
from portico.net.waiting import Waiting

_HEADER_BYTES_AT_LEAST = 4  # "a:\r\n"
_H = ord("H")


class Owner(Protocol):
    """The pool, as far as a connection knows it."""

    name: str
    limits: ClientLimits
    breaker: Breaker
    outbox: Outbox
    known: KnownAnswers

    def failed(self, error: NetError, *, is_stale: bool = False) -> None: ...

    def released(self, connection: "Connection") -> None: ...

    def lost(self, connection: "Connection") -> None: ...


class Connection(asyncio.Protocol):
    __slots__ = (
        "_answer",
        "_clock",
        "_complete",
        "_feed",
        "_future",
        "_keep",
        "_known",
        "_limits",
        "_loop",
        "_outbox",
        "_owner",
        "_parser",
        "_patience",
        "_pieces",
        "_short_head",
        "_status",
        "_streams",
        "_transport",
        "_unwritten",
        "closed",
        "deadline",
        "is_stale",
        "on_body",
        "requests",
    )

    def __init__(self, owner: Owner, loop: asyncio.AbstractEventLoop) -> None:
        self.closed = False
        self.is_stale = False  # Broke before any byte of an answer, after having served earlier requests.
        self.requests = 0
        self.deadline = 0.0
        self._owner = owner
        self._limits = owner.limits
        self._outbox = owner.outbox
        self._known = owner.known
        self._loop = loop
        # A head this short cannot break either limit, so it need not be measured.
        self._short_head = min(owner.limits.head, owner.limits.headers * _HEADER_BYTES_AT_LEAST)
        self._transport: Any = None
        self._future: Waiting | None = None  # Not None exactly while a request is under way.
        self._answer: Answer | None = None  # Not None exactly while an answer is on the long way.
        self._status = 0
        self._streams = False  # Whether an answer that does not arrive whole in one read is handed over at its head.
        self._complete = self._keep = False
        self._patience = 0.0
        self._clock = 0.0  # When the sweep first saw it in its present state; 0 before that.
        self._unwritten = 0
        self._pieces: list[bytes] = []
        self.on_body = self._pieces.append
        self._new_parser()

    # Called by the client and the pool.

    def begin(
        self, data: bytes | list[bytes], deadline: float, first_byte: float | None, head_request: bool
    ) -> "asyncio.Future[Response]":
        """Writes a request. The future is done with its Response, or a NetError. The connection must be idle."""
        if head_request:
            self._answer = Answer(self._owner.name, self._limits, is_bodiless=True)
        return self._write(data, deadline, first_byte)

    def begin_stream(
        self, data: bytes | list[bytes], deadline: float, first_byte: float | None
    ) -> "asyncio.Future[StreamingResponse]":
        """Writes a request. The future is done when the head of the answer has arrived."""
        self._streams = True
        self._answer = self._new_answer()
        return self._write(data, deadline, first_byte)

    def begin_either(
        self, data: bytes | list[bytes], deadline: float, first_byte: float | None
    ) -> "asyncio.Future[Response | StreamingResponse]":
        """Writes a request. The future is done with a Response if that arrives in one read, else at the head."""
        self._streams = True
        return self._write(data, deadline, first_byte)

    def abandon(self, future: "asyncio.Future[Any] | None" = None) -> None:
        """Nobody waits for the answer any more: drop the connection, so that the upstream notices.

        With a future: only if that request is still under way; otherwise the connection may already serve another one.
        """
        if self._future is not None and (future is None or self._future is future):
            self._future = None
            self.close()

    def is_closing(self) -> bool:
        return self.closed or self._transport.is_closing()

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self._transport.abort()
            self._owner.lost(self)

    def fail(self, error: NetError) -> None:
        """Ends the request under way with an error, and the connection with it."""
        future, self._future = self._future, None
        answer, self._answer = self._answer, None
        if future is not None:
            self._owner.failed(error, is_stale=self.is_stale)
        self.close()
        if future is not None and not future.done():
            # What it was raised from knows this future, and what had arrived of the answer.
            error.__cause__ = error.__context__ = None
            future.set_exception(error.with_traceback(None))
        elif answer is not None and answer.stream is not None:
            answer.stream.end(error)

    def check(self, now: float) -> None:
        """Enforces the deadlines of a request under way, or the idle time of a connection without one."""
        if self._future is None:
            if not self._clock:
                self._clock = now
            elif now - self._clock > self._limits.idle:
                self.close()
        elif now >= self.deadline:
            self.fail(TimedOut(f"{self._owner.name} did not answer before the deadline of the call", sent=True))
        elif self._answer is None or not self._answer.has_begun:
            self._check_first_byte(now)

    # Called by a streamed answer.

    def pause(self) -> None:
        if not self.is_closing():
            self._transport.pause_reading()

    def resume(self) -> None:
        if not self.is_closing():
            self._transport.resume_reading()

    # Called by the event loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        future = self._future
        if future is None:
            self.close()  # Bytes that answer nothing could pass for the answer to the next request.
            return
        if self._answer is None:  # So that these are the first bytes of one.
            known = self._known.find(data)
            if known is not None:
                self._keep = True
                self._release()
                if not future.done():
                    future.answer(known)
                return
        try:
            self._feed(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if not self._complete:
                why = "it switched protocols" if isinstance(error, httptools.HttpParserUpgrade) else error
                self.fail(Malformed(f"{self._owner.name} did not answer in HTTP/1.1: {why}", sent=True))
                return
            self._keep = False  # The answer stands; what followed it does not.
        if self._answer is not None or not self._complete or data[0] != _H:
            self._advance(data)
            return
        end = data.find(b"\r\n\r\n")
        head = data[:end]
        folded = head.lower()
        is_coded = b"encoding:" in folded
        if end > self._short_head or (is_coded and not _is_only_chunked(folded)):
            self._advance(data)
            return
        pieces = self._pieces
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        if len(body) > self._limits.body:
            self.fail(too_large(self._owner.name, self._limits))
            return
        found = Head(self._status, head, folded)
        if self._keep and not is_coded:
            self._known.learn(head, found, body)
        self._release()
        if not future.done():
            future.answer(Response(found, body))

    def eof_received(self) -> None:
        if self._future is not None and self._answer is not None and self._answer.ends_with_connection:
            self._finish(self._answer)
        else:
            self._lose(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._lose(exc)
        # The parser knows the connection; parted, they and what had arrived do not wait for the garbage collector.
        self._parser = self._feed = None
        self._pieces.clear()

    # Called by the parser.

    def on_message_begin(self) -> None:
        if self._complete:
            raise ValueError("bytes after the answer")

    def on_message_complete(self) -> None:
        self._status = status = self._parser.get_status_code()
        if status >= 200:
            self._keep = self._parser.should_keep_alive()
            self._complete = True
        elif self._answer is None:
            self._answer = self._new_answer()

    def _new_answer(self) -> Answer:
        stream = StreamingResponse(self, self._limits) if self._streams else None
        return Answer(self._owner.name, self._limits, stream=stream)

    def _new_parser(self) -> None:
        self._parser: Any = httptools.HttpResponseParser(self)
        self._feed: Any = self._parser.feed_data

    def _write(self, data: bytes | list[bytes], deadline: float, first_byte: float | None) -> "asyncio.Future[Any]":
        self._future = future = Waiting(loop=self._loop)
        self.deadline = deadline
        self._patience = self._limits.first_byte if first_byte is None else first_byte
        self._clock = 0.0
        self.requests += 1
        self._outbox.say(self._transport, data if isinstance(data, bytes) else b"".join(data))
        return future

    def _advance(self, data: bytes) -> None:
        """What one read brought, when that was not a whole plain answer."""
        answer = self._answer
        if answer is None:
            answer = self._answer = self._new_answer()
        try:
            answer.take(data, self._pieces)
        except NetError as error:
            self.fail(error)
            return
        if answer.head is None:
            return
        if answer.stream is not None and self._future is not None and not self._future.done():
            self._future.set_result(answer.stream)
            if self._owner.breaker.failures:
                self._owner.breaker.recovered()
        if answer.is_bodiless:
            self._end_without_body()
        if self._complete:
            self._finish(answer)

    def _end_without_body(self) -> None:
        """The answer to HEAD ends with its head; the parser cannot know that, waits for a body and must be replaced."""
        if not self._complete:
            self._keep = self._parser.should_keep_alive()
            self._complete = True
            self._new_parser()
        if self._pieces:
            self._keep = False
            self._pieces.clear()

    def _finish(self, answer: Answer) -> None:
        future = self._future
        try:
            response = answer.finish()
        except NetError as error:
            self.fail(error)
            return
        self._answer = None
        self._release()
        if response is not None and future is not None and not future.done():
            future.answer(response)

    def _release(self) -> None:
        """The answer is complete: serve the next request, if the peer allows it and has taken all of this one."""
        self._future = None
        self._complete = self._streams = False
        self._clock = 0.0
        if self._owner.breaker.failures:
            self._owner.breaker.recovered()
        if self._keep and not self._transport.get_write_buffer_size():
            self._owner.released(self)
        else:
            self.close()

    def _check_first_byte(self, now: float) -> None:
        unwritten = self._transport.get_write_buffer_size()
        if not self._clock or unwritten != self._unwritten:
            self._clock, self._unwritten = now, unwritten
        elif now - self._clock >= self._patience:
            what = "take the request" if unwritten else "begin to answer"
            self.fail(TimedOut(f"{self._owner.name} did not {what} within {self._patience:g} s", sent=True))

    def _lose(self, error: Exception | None) -> None:
        cause = f": {error}" if error is not None and str(error) else ""
        if self._future is None:
            self.close()
        elif self._answer is not None and self._answer.has_begun:
            self.fail(Malformed(f"{self._owner.name} closed the connection in mid-answer{cause}", sent=True))
        else:
            self.is_stale = self.requests > 1
            self.fail(Unreachable(f"{self._owner.name} closed the connection without an answer{cause}", sent=True))


def _is_only_chunked(folded: bytes) -> bool:
    """Whether the one coding that a head speaks of is the chunking that the parser has already undone."""
    return folded.count(b"encoding:") == 1 and b"\r\ntransfer-encoding: chunked\r\n" in folded + b"\r\n"
