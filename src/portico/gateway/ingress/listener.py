"""A listening socket and its connections: limits of patience, and an end in order."""

from __future__ import annotations

import asyncio
import heapq
import socket
import ssl
from dataclasses import dataclass
from email.utils import formatdate
from time import monotonic

from portico.gateway.ingress.heads import HeadLimits
from portico.gateway.ingress.home import Callers, Handler
from portico.gateway.ingress.http1 import Connection
from portico.gateway.ingress.known_heads import KnownHeads
from portico.gateway.ingress.leaving import Guest
from portico.net.outbox import Outbox

SWEEP = 0.5
_HEADS = HeadLimits()
_FOREVER = float("inf")


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds, and bytes for `unread`; see http1.Patience. `handshake` is for TLS."""

    handshake: float = 5.0
    first_byte: float = 5.0
    head: float = 10.0
    body: float = 30.0
    body_idle: float = 10.0
    idle: float = 75.0
    reader: float = 30.0
    unread: int = 1024 * 1024


class Listener:
    """`in_flight` counts requests that have not been answered, streams not included."""

    def __init__(
        self,
        handler: Handler,
        callers: Callers,
        max_body: int,
        limits: Patience,
        tls: ssl.SSLContext | None = None,
        *,
        heads: HeadLimits = _HEADS,
        most: int = 20_000,
        known_heads: int = 512,
    ) -> None:
        self.handler = handler
        self.callers = callers
        self.max_body = max_body
        self.limits = limits
        self.heads = heads
        self._most = most
        self.scheme = "https" if tls is not None else "http"
        self.in_flight = 0
        self.draining = False
        self.now = monotonic()
        self._tell_time()
        self.known = KnownHeads(known_heads)
        self._tls = tls
        self._connections: set[Guest] = set()
        self._server: asyncio.Server | None = None
        self._sweeper: asyncio.TimerHandle | None = None
        self._empty: asyncio.Event | None = None

    def __len__(self) -> int:
        return len(self._connections)

    async def begin(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        self.outbox = Outbox(loop)
        make = loop.create_unix_server if listener.family == socket.AF_UNIX else loop.create_server
        handshake = self.limits.handshake if self._tls is not None else None
        self._server = await make(
            lambda: Connection(self), sock=listener, ssl=self._tls, ssl_handshake_timeout=handshake
        )
        self._sweep()

    async def end(self, patience: float, goodbye: float = 0.0) -> None:
        """Accept no more, let what is under way finish for `patience` seconds, then cut. Connections that idle stay
        for `goodbye` seconds, in case their clients are asking already."""
        self.draining = True
        if self._server is not None:
            self._server.close()
        for connection in list(self._connections):
            connection.finish(goodbye)
        if self._connections:
            self._empty = asyncio.Event()
            await asyncio.wait([asyncio.ensure_future(self._empty.wait())], timeout=patience)
        for connection in list(self._connections):
            connection.abort()
        if self._sweeper is not None:
            self._sweeper.cancel()

    def remember(self, connection: Guest) -> None:
        """Called when a connection can carry requests; one whose TLS handshake fails is never heard of."""
        self._connections.add(connection)
        if len(self._connections) > self._most:
            self._make_room(connection)

    def _make_room(self, newest: Guest) -> None:
        """Connections on which nothing happens are closed, those first that would have ended first."""
        idle = [each for each in self._connections if each.expires < _FOREVER and each is not newest]
        for connection in heapq.nsmallest(1 + self._most // 100, idle, key=lambda each: each.expires):
            connection.abort()
        if not idle:
            newest.abort()

    def forget(self, connection: Guest) -> None:
        self._connections.discard(connection)
        if self._empty is not None and not self._connections:
            self._empty.set()

    def _tell_time(self) -> None:
        self.date = _date()
        self.json_head = b"HTTP/1.1 200 OK\r\n%bcontent-type: application/json\r\n" % self.date

    def _sweep(self) -> None:
        """One clock for all connections: what has run out of patience is told so."""
        self.now = now = monotonic()
        self._tell_time()
        for connection in [each for each in self._connections if each.expires <= now]:
            connection.expire()
        self._sweeper = asyncio.get_running_loop().call_later(SWEEP, self._sweep)


def _date() -> bytes:
    return b"date: %b\r\n" % formatdate(usegmt=True).encode()
