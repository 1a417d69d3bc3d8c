"""What a connection needs of its surroundings: a handler, who is asking, its listener, and how patient that is."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, Protocol

from portico.gateway.exchange import Headers, Reply, Request
from portico.gateway.ingress.heads import HeadLimits
from portico.gateway.ingress.known_heads import KnownHeads
from portico.gateway.ingress.leaving import Guest
from portico.net.outbox import Outbox


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
    outbox: Outbox
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
