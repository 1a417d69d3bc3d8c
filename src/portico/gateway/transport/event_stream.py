"""Writes events: what is said before the reply begins, keep-alive, and what to do when the client is gone.

An idle stream is one small object and its outlet: it has no task, no timer and no queue of its own.
"""

from __future__ import annotations

from collections.abc import Callable

from portico.gateway.exchange import Outlet
from portico.wire import sse

# A stream of one call's answer, of a subscription, of a session (GET), and of the transport of 2024-11-05.
KINDS = ("call", "listen", "standing", "sse")


class TooManyStreams(Exception):
    """No room for one more open stream; the text says which bound was met."""


class EventStream:
    """One streamed reply, made by OpenStreams. What is sent before the ingress attaches its outlet is kept."""

    __slots__ = ("_address", "_early", "_kind", "_on_gone", "_outlet", "_registry", "closed")

    def __init__(self, registry: OpenStreams, address: str, kind: str, on_gone: Callable[[], None] | None) -> None:
        self._registry = registry
        self._address = address
        self._kind = kind
        self._on_gone = on_gone
        self._outlet: Outlet | None = None
        self._early: list[bytes] = []
        self.closed = False

    def attach(self, outlet: Outlet) -> None:
        self._outlet = outlet
        if self._early:
            outlet.write(b"".join(self._early))
            self._early = []
        if self.closed:
            outlet.close()

    def detach(self) -> None:
        """The client is gone: nothing can be sent any more, and whoever opened the stream is told once."""
        on_gone = self._on_gone
        if self._end():
            self._outlet = None
            if on_gone is not None:
                on_gone()

    def when_gone(self, on_gone: Callable[[], None]) -> None:
        self._on_gone = on_gone

    def send(self, message: bytes, identifier: str | None = None, name: bytes = b"message") -> None:
        self.write(sse.event(message, name=name, identifier=identifier))

    def write(self, data: bytes) -> None:
        if self.closed:
            return
        if self._outlet is None:
            self._early.append(data)
        else:
            self._outlet.write(data)

    def close(self) -> None:
        """End the stream in order, from our side; nobody is told."""
        if self._end() and self._outlet is not None:
            outlet, self._outlet = self._outlet, None
            outlet.close()

    def _end(self) -> bool:
        if self.closed:
            return False
        self.closed = True
        # Who waits to be told mostly knows the stream: parted here, neither waits for the garbage collector.
        self._on_gone = None
        self._registry.forget(self, self._address, self._kind)
        return True


class OpenStreams:
    """Every stream that is open in this worker: their bounds, their keep-alive and their end."""

    def __init__(self, most: int = 10_000, per_address: int = 1_000) -> None:
        self._streams: set[EventStream] = set()
        self.kinds: dict[str, int] = dict.fromkeys(KINDS, 0)
        self._by_address: dict[str, int] = {}
        self.most = most
        self._per_address = per_address

    def __len__(self) -> int:
        return len(self._streams)

    def open(self, address: str, on_gone: Callable[[], None] | None = None, kind: str = "call") -> EventStream:
        """A new stream for a client at `address`, or TooManyStreams. `kind` is one of KINDS."""
        if len(self._streams) >= self.most:
            raise TooManyStreams(f"{self.most} streams are open")
        mine = self._by_address.get(address, 0)
        if mine >= self._per_address:
            raise TooManyStreams(f"{self._per_address} streams of this client are open")
        self._by_address[address] = mine + 1
        self.kinds[kind] += 1
        stream = EventStream(self, address, kind, on_gone)
        self._streams.add(stream)
        return stream

    def forget(self, stream: EventStream, address: str, kind: str) -> None:
        self._streams.discard(stream)
        self.kinds[kind] -= 1
        left = self._by_address.get(address, 1) - 1
        if left > 0:
            self._by_address[address] = left
        else:
            self._by_address.pop(address, None)

    def keep_alive(self) -> None:
        for stream in list(self._streams):
            stream.write(sse.KEEP_ALIVE)

    def close(self) -> None:
        for stream in list(self._streams):
            stream.close()
