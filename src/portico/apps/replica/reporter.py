"""Writes the reports of a replica to the store that it serves: every few seconds, and when something changes.

No call waits for it, and nothing that goes wrong here ends anything else. One worker, the first, writes for all of
them; should it be gone, its successor goes on under the same id.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Hashable

from portico.apps.replica.report import Report, encoded
from portico.store.store import Replicas, StoreError

log = logging.getLogger("portico.replica")

LOOK = 1.0
BEAT = 5.0, 10.0
"""At random between the two, so that replicas that were started together do not write together for ever."""
PATIENCE = 20.0
LEAVE = 2.0
CLEAR = 600.0
KEPT = 86_400.0


class Reporter:
    """`make` gives the report of now; `standing` differs when there is something to tell at once."""

    def __init__(
        self,
        id: str,
        replicas: Replicas,
        make: Callable[[], Awaitable[Report]],
        standing: Callable[[], Hashable],
        clock: Callable[[], float],
        look: float = LOOK,
    ) -> None:
        self._id = id
        self._replicas = replicas
        self._make = make
        self._standing = standing
        self._clock = clock
        self._look = look
        self._told: Hashable = None
        self._agreed = True
        self._restless = 0.0
        self._running: asyncio.Task[None] | None = None
        self._next = self._clear = clock()
        self._silent = False

    async def run(self) -> None:
        self._running = asyncio.current_task()
        while True:
            try:
                await self._step()
            except StoreError as error:
                self._complain(str(error))
            except TimeoutError:
                self._complain(f"The store did not take it within {PATIENCE:g} s.")
            except Exception:
                if not self._silent:
                    self._silent = True
                    log.exception("No report of this replica could be made, which is tried again every few seconds.")
            await asyncio.sleep(self._look)

    async def leave(self, *, forget: bool) -> None:
        """Report no more. A replica that ends in order is not missed; one that does not is to be seen as silent."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait([self._running], timeout=LEAVE)
        if not forget:
            return
        try:
            await asyncio.wait_for(self._replicas.forget([self._id]), LEAVE)
        except (StoreError, TimeoutError) as error:
            log.warning("The report of this replica stays in the store until it is old: %s", error or "no answer")

    async def _step(self) -> None:
        standing, now = self._standing(), self._clock()
        # While the store is down, a change is no reason to try earlier than at the next beat.
        changed = not self._silent and (standing != self._told or (not self._agreed and now < self._restless))
        if not changed and now < self._next:
            return
        if standing != self._told:
            # The other workers follow a little later.
            self._restless = now + BEAT[1]
        self._next = now + random.uniform(*BEAT)
        async with asyncio.timeout(PATIENCE):
            report = await self._make()
            await self._replicas.report(self._id, encoded(report))
            self._told, self._agreed = standing, report.agreed
            if self._silent:
                self._silent = False
                log.info("Reports of this replica reach the store again.")
            if now >= self._clear:
                self._clear = now + CLEAR
                await self._replicas.clear(int(KEPT * 1000))

    def _complain(self, why: str) -> None:
        if not self._silent:
            self._silent = True
            log.warning("The store has no new report of this replica, which is tried again every few seconds: %s", why)
