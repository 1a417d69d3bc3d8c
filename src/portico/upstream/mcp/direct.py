"""Calls of tools that need no task, as long as the answer is the first thing that a server says."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from portico.upstream.mcp.upstream import Hear, Outcome
from portico.wire.jsonrpc import Id

Rest = asyncio.Task[Outcome]
"""What is left of a request: it goes on by itself, and ends with the request."""


@runtime_checkable
class Direct(Protocol):
    """Whoever can pass on a call of a tool that needs no task, as long as nothing is said before its answer."""

    def prepared(self, headers: Mapping[str, str]) -> Any:
        """What goes with a call that has these headers; made once for the many that have the same."""
        ...

    async def begin(
        self, prepared: Any, params: bytes, *, identifier: Id, deadline: float, hear: Hear
    ) -> Outcome | Rest:
        """As `request` of `tools/call`, up to the first thing that comes of it: nearly always the outcome. Where it is
        something else, the rest goes on, and from then on `hear` is told; before that it is told nothing. The params
        must have no progress token, and want no log messages."""
        ...
