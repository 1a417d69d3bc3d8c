"""A connection after its last answer, while its client may still be sending.

Hung up on, a client loses the answer that says why it is refused: the rest of its request meets a closed socket, and
what that says overtakes everything (RFC 9112, section 9.6). So our side ends, and theirs is read for a moment.
"""

from __future__ import annotations

import asyncio
from typing import Protocol


class Guest(Protocol):
    """What a listener knows of a connection."""

    expires: float

    def expire(self) -> None: ...
    def finish(self, goodbye: float) -> None: ...
    def abort(self) -> None: ...


class Guests(Protocol):
    def remember(self, connection: Guest) -> None: ...
    def forget(self, connection: Guest) -> None: ...


class Leaving(asyncio.Protocol):
    """Reads and forgets until `expires`. The transport must be able to end one side alone."""

    def __init__(self, guests: Guests, transport: asyncio.Transport, expires: float) -> None:
        self._guests = guests
        self._transport = transport
        self.expires = expires
        guests.remember(self)
        transport.set_protocol(self)
        transport.write_eof()

    def connection_lost(self, exc: Exception | None) -> None:
        self._guests.forget(self)

    def expire(self) -> None:
        self._transport.abort()

    def finish(self, goodbye: float) -> None:
        """It is leaving already."""

    def abort(self) -> None:
        self._transport.abort()
