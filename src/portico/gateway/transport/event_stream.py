"""Writes events: what is said before the reply begins, keep-alive, and what to do when the client is gone.

An idle stream is one small object and its outlet: it has no task, no timer and no queue of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from portico.auth.principal import Principal
from portico.gateway.exchange import Outlet
from portico.wire import sse

# A stream of one call's answer, of a subscription, of a session (GET), and of the transport of 2024-11-05.
KINDS = ("call", "listen", "standing", "sse")


class TooManyStreams(Exception):
    """No room for one more open stream; the text says which bound was met."""


class EventStream:
    """One streamed reply, made by OpenStreams. What is sent before the ingress attaches its outlet is kept."""

    __slots__ = ("_early", "_on_gone", "_outlet", "_registry", "closed", "kind", "owner", "prefix", "principal")

    def __init__(self, registry: OpenStreams, owner: str, kind: str, prefix: str, principal: Principal | None) -> None:
        self._registry = registry
        self.owner = owner
        self.kind = kind
        self.prefix = prefix
        self.principal = principal
        self._on_gone: Callable[[], None] | None = None
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

    def expel(self) -> None:
        """End the stream in order, from our side, and tell whoever opened it, as if the client had gone."""
        on_gone = self._on_gone
        self.close()
        if on_gone is not None:
            on_gone()

    def _end(self) -> bool:
        if self.closed:
            return False
        self.closed = True
        # Who waits to be told mostly knows the stream: parted here, neither waits for the garbage collector.
        self._on_gone = None
        self._registry.forget(self)
        return True


class OpenStreams:
    """Every stream that is open in this worker: their bounds, their keep-alive and their end."""

    def __init__(self, most: int = 10_000, per_address: int = 1_000, per_principal: int = 100) -> None:
        self._streams: set[EventStream] = set()
        self.kinds: dict[str, int] = dict.fromkeys(KINDS, 0)
        self._by_owner: dict[str, int] = {}
        self.most = most
        self._per_address = per_address
        self._per_principal = per_principal

    def __len__(self) -> int:
        return len(self._streams)

    def __iter__(self) -> Iterator[EventStream]:
        return iter(list(self._streams))

    def open(
        self, address: str, kind: str = "call", *, prefix: str = "", principal: Principal | None = None
    ) -> EventStream:
        """A new stream for a principal, or for whoever is at `address` without one, or TooManyStreams. `kind` is one of
        KINDS; `prefix` is that of the endpoint."""
        if len(self._streams) >= self.most:
            raise TooManyStreams(f"{self.most} streams are open")
        owner, most = (address, self._per_address) if principal is None else (principal.id, self._per_principal)
        mine = self._by_owner.get(owner, 0)
        if mine >= most:
            raise TooManyStreams(f"{most} streams of this client are open")
        self._by_owner[owner] = mine + 1
        self.kinds[kind] += 1
        stream = EventStream(self, owner, kind, prefix, principal)
        self._streams.add(stream)
        return stream

    def forget(self, stream: EventStream) -> None:
        self._streams.discard(stream)
        self.kinds[stream.kind] -= 1
        left = self._by_owner.get(stream.owner, 1) - 1
        if left > 0:
            self._by_owner[stream.owner] = left
        else:
            self._by_owner.pop(stream.owner, None)

    def keep_alive(self) -> None:
        for stream in list(self._streams):
            stream.write(sse.KEEP_ALIVE)

    def close(self) -> None:
        for stream in list(self._streams):
            stream.close()
