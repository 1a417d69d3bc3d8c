"""Stops calling an origin that does not answer: calls fail at once and say why, until one of them has tried it again.

Consecutive connect failures, resets and timeouts count; an answer of any status, and even one that breaks HTTP, shows
that somebody is there. What a caller gives up, and what our own rules refuse, says nothing about the origin.
"""

from portico.net.errors import Rejected
from portico.net.limits import ClientLimits


class Breaker:
    """Times are points of the event loop's clock. `failures` is not 0 exactly while there is something to recover."""

    __slots__ = ("_last", "_limits", "_name", "_openings", "_probing", "_until", "failures", "is_open")

    def __init__(self, name: str, limits: ClientLimits) -> None:
        self.failures = 0
        self.is_open = False
        self._name = name
        self._limits = limits
        self._openings = 0
        self._probing = False
        self._until = 0.0
        self._last = ""

    def admit(self, now: float) -> None:
        """Raises Rejected while the breaker is open; one call after each pause is let through to try."""
        left = self._until - now
        if left > 0:
            raise Rejected(
                f"{self._name} failed {self.failures} times in a row and is tried again in {left:.0f} s; "
                f"at last: {self._last}"
            )
        self._probing = True
        self._until = now + self._pause

    def failed(self, now: float, message: str) -> None:
        self._last = message
        if self.is_open:
            # What began before it opened and fails now does not make the pause longer.
            if self._probing:
                self._open(now)
            return
        self.failures += 1
        if self.failures >= self._limits.breaker_failures:
            self._open(now)

    def gave_up(self, now: float) -> None:
        """A caller went away before there was a result: the next one may try."""
        if self._probing:
            self._probing = False
            self._until = now

    def recovered(self) -> None:
        self.failures = self._openings = 0
        self.is_open = self._probing = False

    def seconds(self, now: float) -> float:
        """How long calls will go on failing at once; 0 when it is closed or about to be tried."""
        return max(0.0, self._until - now) if self.is_open else 0.0

    @property
    def _pause(self) -> float:
        return min(self._limits.breaker_pause * self._openings, self._limits.breaker_most)

    def _open(self, now: float) -> None:
        self.is_open = True
        self._probing = False
        self._openings += 1
        self._until = now + self._pause
