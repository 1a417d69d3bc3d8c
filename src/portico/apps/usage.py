"""Tells the store which API keys were used, and when last. No call waits for it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping

from portico.store.store import StoreError

log = logging.getLogger("portico.auth")

EVERY = 60.0
LEAVE = 2.0


class Usage:
    """`used` is what the key rings note: seconds since 1970 by hash. `tell` takes milliseconds ago by hash, so that the
    store can say it by its own clock."""

    def __init__(
        self,
        used: dict[str, float],
        tell: Callable[[Mapping[str, int]], Awaitable[None]],
        clock: Callable[[], float] = time.time,
        every: float = EVERY,
    ) -> None:
        self._used = used
        self._tell = tell
        self._clock = clock
        self._every = every
        self._silent = False

    async def run(self) -> None:
        while True:
            await asyncio.sleep(self._every)
            try:
                await self._step()
            except Exception:
                # A worker does not end because of a note.
                log.exception("The store was not told when keys were used last.")

    async def leave(self) -> None:
        """Tell what is left, if the store takes it soon."""
        try:
            await asyncio.wait_for(self._step(), LEAVE)
        except TimeoutError:
            log.warning("When keys were used last was not told to the store, which did not answer.")

    async def _step(self) -> None:
        if not self._used:
            return
        noted, now = dict(self._used), self._clock()
        self._used.clear()
        try:
            await self._tell({digest: max(0, int((now - at) * 1000)) for digest, at in noted.items()})
            self._silent = False
        except StoreError as error:
            # What was noted meanwhile is newer.
            self._used |= noted | self._used
            if not self._silent:
                self._silent = True
                log.warning("The store was not told when keys were used last, which is tried again: %s", error)
