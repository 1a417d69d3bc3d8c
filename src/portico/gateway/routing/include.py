"""What an endpoint includes of upstream MCP servers, compiled: an aggregate. Frozen data, no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from portico.config.patterns import Patterns
from portico.upstream.mcp.upstream import McpSpec


@dataclass(frozen=True, slots=True)
class Alias:
    """What clients are told instead of what the server says; None and missing keys leave the server's word.

    `annotations` are encoded values by name.
    """

    name: str | None = None
    title: str | None = None
    description: str | None = None
    args: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, bytes] = field(default_factory=dict)


NO_ALIAS = Alias()


@dataclass(frozen=True, slots=True)
class Include:
    """Patterns look at the server's own names and URIs; `aliases` are keyed by prefix and name."""

    spec: McpSpec
    tools: Patterns
    prompts: Patterns
    resources: Patterns
    prefix: str = ""
    aliases: Mapping[str, Alias] = field(default_factory=dict)

    def alias(self, name: str) -> Alias:
        return self.aliases.get(self.prefix + name, NO_ALIAS)


@dataclass(frozen=True, slots=True)
class Aggregate:
    """In the order of the document, which settles who keeps a name that two have."""

    includes: tuple[Include, ...]
    page_size: int
    allowed: Patterns | None = None
    """The tools that this caller may use, by the names that clients see, where that is not all (see narrowing.py)."""

    specs: tuple[McpSpec, ...] = field(init=False)
    telling: tuple[McpSpec, ...] = field(init=False)
    """Those that are told more of a client than what its messages say."""

    def __post_init__(self) -> None:
        specs = tuple(dict.fromkeys(include.spec for include in self.includes))
        object.__setattr__(self, "specs", specs)
        object.__setattr__(
            self, "telling", tuple(spec for spec in specs if spec.forward_headers or spec.session == "perClient")
        )
