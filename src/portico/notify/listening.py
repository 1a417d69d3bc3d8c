"""Keeps one receiver connected, for ever, and knows how it fares."""

from __future__ import annotations

import asyncio
import logging
import random

from portico.notify.notifier import MESSAGE, Hear, NotifyError, Receiver, Standing

log = logging.getLogger("portico.notify")

PAUSE = 0.25
PAUSE_MOST = 15.0


class Listening:
    """Waits longer after each failure in a row, and never as long as the others do."""

    def __init__(self, receiver: Receiver, hear: Hear) -> None:
        self._receiver = receiver
        self._hear = hear
        self.standing = Standing(receiver.shown)

    async def run(self) -> None:
        pause = PAUSE
        while True:
            why = await self._listen()
            # One that ends as soon as it was reached is not asked more often than one that is not reached.
            pause = min(pause * 2, PAUSE_MOST)
            if self.standing.up:
                pause = PAUSE if self._lasted > PAUSE_MOST else pause
            if self.standing.up or not self.standing.error:
                log.warning("Notifier %s is down, so changes are seen by polling: %s", self.standing.notifier, why)
            self.standing.up, self.standing.error = False, why
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))

    async def _listen(self) -> str:
        """Until it fails; why it did."""
        self._begun = asyncio.get_running_loop().time()
        try:
            await self._receiver.listen(self._ready, self._heard)
        except NotifyError as error:
            return str(error)
        except Exception:
            # A client library's surprise must not end the task that would try again.
            log.exception("Notifier %s failed.", self.standing.notifier)
            return "it failed unexpectedly; see the log"
        return "it ended"

    @property
    def _lasted(self) -> float:
        return asyncio.get_running_loop().time() - self._begun

    def _ready(self) -> None:
        if self.standing.error:
            log.info("Notifier %s is up again.", self.standing.notifier)
        self.standing.up, self.standing.error = True, ""
        # What was said before nobody heard.
        self._hear("")

    def _heard(self, message: str) -> None:
        if MESSAGE.fullmatch(message):
            self.standing.heard += 1
            self._hear(message)
