"""What one included server offers, as it says: its greeting and its four lists, all pages of them."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import msgspec

from portico.gateway.protocol.aggregate.rewriting import members_of, text_of
from portico.gateway.routing.include import Include

MOST_PAGES = 100
MOST_ENTRIES = 10_000
METHODS: Mapping[str, tuple[str, str, str]] = {
    "tools/list": ("tools", "tools", "name"),
    "prompts/list": ("prompts", "prompts", "name"),
    "resources/list": ("resources", "resources", "uri"),
    "resources/templates/list": ("resources", "resourceTemplates", "uriTemplate"),
}
"""By method: the capability that it belongs to, the member of the result, and what identifies an entry."""

Ask = Callable[[str, str | None], Awaitable[bytes]]
"""Asks for one page, by method and cursor: the result, or a NetError."""


class Greeting(msgspec.Struct, rename="camel"):
    capabilities: dict[str, dict[str, object] | None] = {}
    instructions: str | None = None
    server_info: dict[str, object] = {}


@dataclass(frozen=True, slots=True)
class Lists:
    """`ttl` is how long the server says that they hold, in seconds; None where it says nothing."""

    greeting: Greeting
    entries: Mapping[str, tuple[msgspec.Raw, ...]] = field(default_factory=dict)
    ttl: float | None = None
    cut: bool = False
    """Whether there were more than MOST_PAGES or MOST_ENTRIES."""


async def fetch(greeting: bytes, ask: Ask, include: Include) -> Lists:
    """Only what the server declares and the document wants. Raises what `ask` raises."""
    told = _greeting(greeting)
    entries: dict[str, tuple[msgspec.Raw, ...]] = {}
    ttl, cut = math.inf, False
    for method, (capability, key, _) in METHODS.items():
        patterns = getattr(include, capability)
        if told.capabilities.get(capability) is None or not patterns.allow:
            continue
        found, cursor = [], None
        for page in range(MOST_PAGES + 1):
            result = members_of(await ask(method, cursor))
            found += msgspec.json.decode(result.get(key, b"[]"), type=list[msgspec.Raw])
            ttl = min(ttl, _number(result.get("ttlMs")))
            cursor = text_of(result.get("nextCursor"))
            if cursor is None:
                break
            if len(found) >= MOST_ENTRIES or page == MOST_PAGES:
                cut = True
                break
        entries[method] = tuple(found[:MOST_ENTRIES])
    return Lists(told, entries, None if math.isinf(ttl) else ttl / 1000, cut)


def _greeting(raw: bytes) -> Greeting:
    try:
        return msgspec.json.decode(raw, type=Greeting)
    except msgspec.MsgspecError:
        return Greeting()


def _number(raw: msgspec.Raw | None) -> float:
    try:
        return msgspec.json.decode(raw, type=float) if raw is not None else math.inf
    except msgspec.MsgspecError:
        return math.inf
