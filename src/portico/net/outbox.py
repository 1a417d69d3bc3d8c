"""What connections say in one turn of the loop, written when the loop has read all that lay ready.

A write wakes a peer that sleeps, which costs the writer as much as the write itself. Written together, after the reads,
most writes reach a peer that is awake already. Nothing waits longer than the turn of the loop that it was said in.
"""

import asyncio
from collections.abc import Iterable
from typing import Any

MOST = 32
"""So many are written at once, so that peers have something to do while the loop reads on."""
LARGE = 64 * 1024
"""Bytes from which on a write is worth its price, and is not kept."""


class Outbox:
    """Keeps the order in which things are said. Whoever closes a transport flushes before."""

    __slots__ = ("_loop", "_unsaid")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._unsaid: list[tuple[Any, bytes]] = []

    def say(self, transport: Any, data: bytes) -> None:
        """To be written to a transport before the loop reads again."""
        unsaid = self._unsaid
        if not unsaid:
            self._loop.call_soon(self.flush)
        unsaid.append((transport, data))
        if len(unsaid) >= MOST or len(data) >= LARGE:
            self.flush()

    def say_long(self, transport: Any, pieces: Iterable[bytes]) -> None:
        """To be written at once, after what was said before, without being joined."""
        self.flush()
        if not transport.is_closing():
            transport.writelines(pieces)

    def flush(self) -> None:
        """Write what was said. What was said to a transport that is closing is forgotten, as the loop would do."""
        unsaid, self._unsaid = self._unsaid, []
        for transport, data in unsaid:
            if not transport.is_closing():
                transport.write(data)
