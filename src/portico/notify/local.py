"""local: sender and receivers in one process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from portico.notify.notifier import Hear


class Local:
    shown = "local:"

    def __init__(self) -> None:
        self._hearers: set[Hear] = set()

    async def announce(self, revision: str) -> None:
        for hear in list(self._hearers):
            hear(revision)

    async def reach(self) -> None:
        """It is this process."""

    async def listen(self, ready: Callable[[], None], hear: Hear) -> None:
        self._hearers.add(hear)
        try:
            ready()
            await asyncio.get_running_loop().create_future()
        finally:
            self._hearers.discard(hear)

    async def close(self) -> None:
        """Nothing is kept open."""
