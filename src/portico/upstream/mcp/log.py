"""Lines about one upstream for the log, so few that a server which floods cannot fill the disk."""

from __future__ import annotations

import logging
from collections.abc import Callable

log = logging.getLogger("portico.upstream")

MOST = 50
PERIOD = 10.0
LONGEST = 1_000


class BoundedLog:
    """At most MOST lines in PERIOD seconds, with a count of what was left out."""

    __slots__ = ("_clock", "_name", "_omitted", "_since", "_written")

    def __init__(self, name: str, clock: Callable[[], float]) -> None:
        self._name = name
        self._clock = clock
        self._since = clock()
        self._written = 0
        self._omitted = 0

    def info(self, text: str, *values: object) -> None:
        self._write(logging.INFO, text, values)

    def warning(self, text: str, *values: object) -> None:
        self._write(logging.WARNING, text, values)

    def _write(self, level: int, text: str, values: tuple[object, ...]) -> None:
        now = self._clock()
        if now - self._since >= PERIOD:
            if self._omitted:
                log.warning("%s: %d more lines were left out", self._name, self._omitted)
            self._since, self._written, self._omitted = now, 0, 0
        if self._written >= MOST:
            self._omitted += 1
            return
        self._written += 1
        log.log(level, "%s: %s", self._name, (text % values if values else text)[:LONGEST])
