"""Which eras an upstream speaks: pinned by the document, or asked once and remembered."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Literal

from portico.upstream.mcp.flight import Flight
from portico.upstream.mcp.upstream import Era, Hello

BOTH: tuple[Era, Era] = ("modern", "legacy")


class Eras:
    """`probe` asks the upstream about one era; it raises a NetError where there is no telling."""

    def __init__(
        self,
        pinned: Literal["auto", "legacy", "modern"],
        probe: Callable[[Era, Hello | None], Coroutine[Any, Any, bool]],
    ) -> None:
        self._pinned = pinned
        self._probe = probe
        self._known: dict[Era, bool] = {}
        self._probing: dict[Era, Flight[bool]] = {era: Flight() for era in BOTH}

    async def speak(self, era: Era, hello: Hello | None = None) -> bool:
        if self._pinned != "auto":
            return era == self._pinned
        known = self._known.get(era)
        if known is None:
            known = self._known[era] = await self._probing[era].join(lambda: self._probe(era, hello))
        return known

    def knows(self, era: Era) -> bool:
        """Whether the upstream is known to speak it, without asking."""
        return self._known.get(era, False) if self._pinned == "auto" else era == self._pinned

    @property
    def is_legacy(self) -> bool:
        """Whether it is known not to speak the modern era."""
        if self._pinned != "auto":
            return self._pinned == "legacy"
        return self._known.get("modern") is False

    async def all(self) -> frozenset[Era]:
        return frozenset([era for era in BOTH if await self.speak(era)])

    def learn(self, era: Era, spoken: bool) -> None:
        self._known[era] = spoken

    def forget(self) -> None:
        self._known.clear()
