"""Notifier: what every way of telling processes "revision N" can do. It knows neither stores nor documents.

A message carries a revision and nothing else, so whoever could forge one could make a gateway look at its store, and
no more than that. A message that is lost is repaired by polling, so nothing here is ever tried for long.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

PATIENCE = 3.0
"""Seconds that one message may take to be handed over, with connecting."""
MESSAGE = re.compile(r"[A-Za-z0-9._/-]{0,128}")

Hear = Callable[[str], None]
"""Takes a revision, or nothing where one may have been missed: then it is time to look."""


class NotifyError(Exception):
    """What stands against telling or hearing; the text is for people and holds no password."""


@dataclass(slots=True)
class Standing:
    """How one receiver fares. `notifier` is its URL without what is secret in it."""

    notifier: str
    up: bool = False
    error: str = ""
    heard: int = 0


class Sender(Protocol):
    @property
    def shown(self) -> str: ...

    async def announce(self, revision: str) -> None:
        """Tell it once. NotifyError when it is known that somebody did not hear it."""
        ...

    async def reach(self) -> None:
        """Go as far as one can without telling anything. NotifyError when a message would not be taken."""
        ...

    async def close(self) -> None: ...


class Receiver(Protocol):
    @property
    def shown(self) -> str: ...

    async def listen(self, ready: Callable[[], None], hear: Hear) -> None:
        """Call `ready` when messages can come and `hear` for each; NotifyError when none can come any more."""
        ...
