"""Where the short way of a relayed call leads: to the MCP server of its endpoint, or to the one that has its tool."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from portico.gateway.protocol.aggregate.merging import Owner
from portico.gateway.protocol.aggregate.rewriting import outcome_out, renamed
from portico.upstream.mcp.direct import Direct
from portico.upstream.mcp.upstream import McpSpec, Outcome


class Way:
    """`prepared` is what the conversation was given of the request's head. `owner` says whose an included tool is, and
    what its server calls it; None where the server is all that the endpoint offers. `patience` is how many seconds a
    call may take, for the endpoint or for the server."""

    __slots__ = ("_name", "conversation", "owner", "patience", "prepared", "spec")

    def __init__(
        self,
        spec: McpSpec,
        owner: Owner | None,
        conversation: Direct,
        headers: Mapping[str, str],
        patience: float,
    ) -> None:
        self.spec = spec
        self.patience = min(patience, spec.timeout)
        self.owner = owner
        self.conversation = conversation
        self._name = msgspec.Raw(msgspec.json.encode(owner.own)) if owner is not None else None
        self.prepared: Any = conversation.prepared(headers)

    def params(self, raw: bytes) -> bytes:
        """As the server knows the tool. What was judged is written anew, so that nothing stands in it twice."""
        return raw if self._name is None else renamed(raw, self._name)

    def outcome(self, outcome: Outcome) -> Outcome:
        """As clients know what the server speaks of."""
        return outcome if self.owner is None else outcome_out(self.owner.include, outcome)
