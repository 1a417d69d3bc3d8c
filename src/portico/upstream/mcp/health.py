"""How an upstream fares, in words for people: kept for the admin listener, logged when it changes."""

from __future__ import annotations

import logging
from collections.abc import Callable

from portico.upstream.mcp.upstream import Health

log = logging.getLogger("portico.upstream")

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0


class Life:
    """`name` is what log and errors call the upstream. `clock` is the event loop's."""

    def __init__(self, name: str, clock: Callable[[], float]) -> None:
        self._name = name
        self._clock = clock
        self.health = Health("onDemand", "nobody has asked for it yet", clock())

    @property
    def is_serving(self) -> bool:
        return self.health.state == "serving"

    @property
    def is_down(self) -> bool:
        return self.health.state == "down"

    def rest(self, reason: str) -> None:
        self.health = Health("onDemand", reason, self._clock())

    def starting(self, reason: str) -> None:
        if self.health.state == "starting":
            self.health = Health("starting", reason, self.health.since)
        else:
            self.health = Health("starting", reason, self._clock())

    def serving(self) -> None:
        if self.health.state != "serving":
            log.info("The upstream %s serves.", self._name)
            self.health = Health("serving", "", self._clock())

    def down(self, reason: str) -> None:
        since = self.health.since if self.is_down else self._clock()
        if not self.is_down or self.health.reason != reason:
            log.warning("The upstream %s is down: %s", self._name, reason)
        self.health = Health("down", reason, since)


def later(pause: float) -> float:
    """How long to wait after having waited `pause` in vain."""
    return min(max(FIRST_PAUSE, pause * 2), LONGEST_PAUSE)
