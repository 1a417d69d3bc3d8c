"""A transport without a socket, for tests that drive a connection byte by byte, and the pool that owns it."""

import asyncio
from typing import Any

from portico.net.breaker import Breaker
from portico.net.connection import Connection
from portico.net.errors import NetError
from portico.net.known_answers import KnownAnswers
from portico.net.limits import ClientLimits
from portico.net.outbox import Outbox


class FakeTransport(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self.unwritten = 0
        self.aborted = False
        self.paused = False

    def write(self, data: Any) -> None:
        self.written += data

    def writelines(self, list_of_data: Any) -> None:
        self.written += b"".join(list_of_data)

    def get_write_buffer_size(self) -> int:
        return self.unwritten

    def is_closing(self) -> bool:
        return self.aborted

    def abort(self) -> None:
        self.aborted = True

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False


class AtOnce(Outbox):
    """Says everything at once, so that a test sees each write where it is made."""

    def __init__(self) -> None:
        """It needs no loop."""

    def say(self, transport: Any, data: bytes) -> None:
        transport.write(data)

    def flush(self) -> None:
        """Nothing is ever left."""


class FakeOwner:
    name = "fake.test:80"

    def __init__(self, limits: ClientLimits) -> None:
        self.limits = limits
        self.breaker = Breaker(self.name, limits)
        self.outbox = AtOnce()
        self.known = KnownAnswers()
        self.failures = 0
        self.released_count = 0
        self.lost_count = 0

    def failed(self, error: NetError, *, is_stale: bool = False) -> None:
        self.failures += 1

    def released(self, connection: Connection) -> None:
        self.released_count += 1

    def lost(self, connection: Connection) -> None:
        self.lost_count += 1


def wired(
    loop: asyncio.AbstractEventLoop, limits: ClientLimits | None = None
) -> tuple[Connection, FakeTransport, FakeOwner]:
    owner, transport = FakeOwner(limits or ClientLimits()), FakeTransport()
    connection = Connection(owner, loop)
    connection.connection_made(transport)
    return connection, transport, owner
