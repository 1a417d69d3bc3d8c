"""A two-way channel to an upstream, as the conversations over stdio and SSE know it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from portico.net.errors import NetError
from portico.upstream.mcp.mux import Mux


class Channel(Protocol):
    """It tells its mux what arrives, and that it has ended; `on_end` too is told why. Nobody is told after `close`."""

    mux: Mux | None
    on_end: Callable[[NetError], None]

    def send(self, message: bytes, number: int | None, headers: Mapping[str, str] = {}) -> None:
        """Write a message; `number` is that of the request, so that it can be lost alone. `headers` go with it where
        the transport has any. Raises a NetError."""
        ...

    async def close(self) -> None: ...


Open = Callable[[], Awaitable[Channel]]
