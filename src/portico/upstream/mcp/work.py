"""How many requests are under way at an upstream, so that it is not ended before they are."""

from __future__ import annotations

import asyncio


class Work:
    __slots__ = ("_count", "_quiet")

    def __init__(self) -> None:
        self._count = 0
        self._quiet: asyncio.Future[None] | None = None

    def enter(self) -> None:
        self._count += 1

    def leave(self) -> None:
        self._count -= 1
        if not self._count and self._quiet is not None and not self._quiet.done():
            self._quiet.set_result(None)

    async def ended(self, patience: float) -> None:
        """Returns when nothing is under way, or after so many seconds. Who has no patience ends that of others too."""
        if patience <= 0:
            if self._quiet is not None and not self._quiet.done():
                self._quiet.set_result(None)
        elif self._count:
            self._quiet = asyncio.get_running_loop().create_future()
            await asyncio.wait([self._quiet], timeout=patience)
