"""The short way of a modern client that cannot be asked, to a legacy server: a call of a tool without a task.

Such a call needs nothing of what modern_client.py keeps for a call that may have to wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, cast

import msgspec

from portico.gateway.protocol.bridge.modern_client import hello_of, refusing
from portico.gateway.protocol.bridge.translation import identity_of, modern_outcome, without_protocol
from portico.upstream.mcp.direct import Direct, Rest
from portico.upstream.mcp.upstream import Hear, McpUpstream, Outcome
from portico.wire.jsonrpc import Id


class Prepared:
    """What goes with calls that have the same headers, made anew when the session at the server is another."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._headers = {name: value for name, value in headers.items() if not name.lower().startswith("mcp-")}
        self._direct: Direct | None = None
        self._lines: Any = None

    def of(self, conversation: Any) -> tuple[Direct, Any]:
        """The conversation, and what it was given of the headers."""
        direct = self._direct
        if direct is not conversation or direct is None:
            self._direct = direct = cast(Direct, conversation)
            self._lines = direct.prepared(self._headers)
        return direct, self._lines


class PlainClient:
    """Only the short way knows it, so it has no requests but calls of tools."""

    def __init__(self, upstream: McpUpstream, capabilities: Mapping[str, Any]) -> None:
        self._upstream = upstream
        self._hello = hello_of(capabilities, None)

    def prepared(self, headers: Mapping[str, str]) -> Prepared:
        return Prepared(headers)

    async def begin(
        self, prepared: Prepared, params: bytes, *, identifier: Id, deadline: float, hear: Hear
    ) -> Outcome | Rest:
        conversation, rest = await self._upstream.legacy(self._hello), None
        try:
            direct, lines = prepared.of(conversation)
            first = await direct.begin(
                lines,
                without_protocol(params)[0] or b"{}",
                identifier=identifier,
                deadline=deadline,
                hear=refusing(hear),
            )
            server = identity_of(conversation.greeting)
            if isinstance(first, Outcome):
                return modern_outcome("tools/call", first, server, b"")
            rest = asyncio.get_running_loop().create_task(_rest(first, server))
            rest.add_done_callback(lambda _: conversation.release())
            return rest
        finally:
            if rest is None:
                conversation.release()


async def _rest(rest: Rest, server: msgspec.Raw | None) -> Outcome:
    return modern_outcome("tools/call", await rest, server, b"")
