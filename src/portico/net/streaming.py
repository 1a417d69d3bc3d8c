"""An answer whose body is read while it arrives: event streams, mostly. Reading pauses while the consumer is slow."""

import asyncio
from collections import deque
from collections.abc import Iterator
from types import TracebackType
from typing import Protocol, Self

from portico.net.decoding import Decoder
from portico.net.errors import NetError
from portico.net.limits import ClientLimits
from portico.net.response import find_header, header_list


class Line(Protocol):
    """What a streamed answer asks of the connection it arrives on."""

    deadline: float

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def abandon(self) -> None: ...


class StreamingResponse:
    """`status`, `headers` and `header()` as of a Response; iterate for the decoded pieces (≤ 256 KiB); `aclose()`
    when done.

    Use it as `async with`. One consumer at a time. A cancelled or closed consumer drops the connection, and so does
    `aclose()` before the end. Whatever breaks after the head is raised by the iteration. The ratio of compressed
    bodies is limited, their length is not.
    """

    def __init__(self, line: Line, limits: ClientLimits) -> None:
        self.status = 0
        self._head = self._folded = b""
        self._line: Line | None = line
        self._limits = limits
        self._decoder: Decoder | None = None
        self._arrived: deque[bytes] = deque()
        self._size = 0
        self._paused = False
        self._pieces: Iterator[bytes] = iter(())
        self._error: NetError | None = None
        self._waiter: asyncio.Future[None] | None = None

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        return header_list(self._head)

    def header(self, name: bytes) -> bytes | None:
        return find_header(self._head, self._folded, name)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        try:
            while True:
                for piece in self._pieces:
                    return piece
                if self._arrived:
                    self._take_next()
                elif self._error is not None:
                    raise self._error
                elif self._line is None:
                    self._finish()
                    raise StopAsyncIteration
                else:
                    self._waiter = asyncio.get_running_loop().create_future()
                    await self._waiter
        except StopAsyncIteration:
            raise
        except BaseException as error:
            self._drop(error)
            raise

    @property
    def has_arrived(self) -> bool:
        """Whether the answer came to its end, so that dropping it costs no connection."""
        return self._line is None

    def wait_until(self, deadline: float) -> None:
        """Another deadline for the rest of the body."""
        if self._line is not None:
            self._line.deadline = deadline

    def drop(self) -> None:
        """Ends the stream; the connection is dropped unless the answer had come to its end."""
        self._drop(None)

    async def aclose(self) -> None:
        self._drop(None)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._drop(None)

    # What follows is called by the connection.

    def begin(self, status: int, head: bytes, folded: bytes, decoder: Decoder | None) -> None:
        self.status, self._head, self._folded, self._decoder = status, head, folded, decoder

    def push(self, data: bytes) -> None:
        self._arrived.append(data)
        self._size += len(data)
        if self._size > self._limits.stream_buffer and not self._paused and self._line is not None:
            self._paused = True
            self._line.pause()
        self._wake()

    def end(self, error: NetError | None) -> None:
        """No more will arrive: the body is complete, or it broke."""
        if self._paused and self._line is not None:
            self._line.resume()
        self._line = None
        self._error = error
        self._wake()

    def _take_next(self) -> None:
        data = self._arrived.popleft()
        self._size -= len(data)
        if self._paused and self._size <= self._limits.stream_buffer // 2 and self._line is not None:
            self._paused = False
            self._line.resume()
        self._pieces = self._decoder.feed(data) if self._decoder is not None else iter((data,))

    def _finish(self) -> None:
        decoder, self._decoder = self._decoder, None
        if decoder is not None:
            decoder.finish()

    def _drop(self, error: BaseException | None) -> None:
        line, self._line = self._line, None
        self._arrived.clear()
        self._pieces = iter(())
        self._decoder = None
        self._error = error if isinstance(error, NetError) else None
        if line is not None:
            line.abandon()
        self._wake()

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)
