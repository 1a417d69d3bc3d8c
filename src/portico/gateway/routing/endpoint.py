"""One public MCP path and everything that answering it needs, frozen."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from portico.auth.principal import Guard
from portico.config.patterns import Patterns
from portico.gateway.routing.catalog import Catalog
from portico.gateway.routing.include import Aggregate
from portico.upstream.mcp.upstream import McpSpec


@dataclass(frozen=True, slots=True)
class CorsRules:
    origins: frozenset[str]
    methods: bytes
    headers: bytes
    """Allowed request headers, or b"*": whatever the page asks for."""
    expose: bytes
    credentials: bool
    max_age: bytes

    def allows(self, origin: str) -> bool:
        return "*" in self.origins or origin in self.origins


@dataclass(frozen=True, slots=True)
class RouterLimits:
    """Calls a second, how many of them may come at once, and how many may be under way; None for no limit."""

    rate: float | None = None
    burst: float | None = None
    concurrency: int | None = None


NO_LIMITS = RouterLimits()


@dataclass(frozen=True, slots=True)
class Endpoint:
    prefix: str
    tenant: str
    document: str
    title: str
    server_info: dict[str, Any]
    capabilities: dict[str, Any]
    instructions: str | None
    catalog: Catalog
    oldest: str
    offered: tuple[str, ...]
    """Every revision that is spoken here, newest first."""
    timeout: float
    ttl_ms: int
    cache_scope: str
    cors: CorsRules | None
    greeting_tail: bytes
    """Members that end the answer of `server/discover`, up to the call id (see portico.wire.results)."""
    modern_tail: bytes
    """Members that end every modern result, up to the call id (see portico.wire.results)."""
    upstream: McpSpec | None = None
    """The MCP server that this endpoint relays to, instead of a catalog of its own."""
    limits: RouterLimits = NO_LIMITS
    guard: Guard | None = None
    """Who may use it; None for everybody."""
    allowed: Patterns | None = None
    """The tools that this caller may use, where that is not all of them (see narrowing.py)."""
    views: dict[Patterns, Endpoint] = field(default_factory=dict, compare=False, repr=False)
    """What callers see who may use a part of the tools, by what they may use; made when one of them first asks."""
    aggregate: Aggregate | None = None
    """What is offered here of MCP servers, beside the catalog."""

    @property
    def relays(self) -> bool:
        """Whether an upstream may speak here before it answers, and ask the client."""
        return self.upstream is not None or self.aggregate is not None

    def offers_like(self, other: Endpoint) -> bool:
        """Whether clients are offered the same here as there, whatever else differs."""
        return self is other or (self.aggregate == other.aggregate and self.catalog == other.catalog)

    @property
    def specs(self) -> tuple[McpSpec, ...]:
        """Every MCP server that a call here may reach."""
        if self.upstream is not None:
            return (self.upstream,)
        return self.aggregate.specs if self.aggregate is not None else ()
