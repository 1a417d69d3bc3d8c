"""What an aggregate says of itself: capabilities united, instructions joined, and who is missing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from portico.gateway.protocol.aggregate.view import Part
from portico.gateway.routing.endpoint import Endpoint

MOST_INSTRUCTIONS = 64_000
_ANYTHING: dict[str, dict[str, object] | None] = {"prompts": {}, "resources": {}}


def capabilities(endpoint: Endpoint, parts: Sequence[Part]) -> dict[str, Any]:
    """Those of the document's own things and of every server. One that is away may come back with anything that the
    document includes of it, and clients learn capabilities only once."""
    found = dict(endpoint.capabilities)
    for part in parts:
        include, lists = part.include, part.lists
        declared = lists.greeting.capabilities if lists is not None else _ANYTHING
        if declared.get("prompts") is not None and include.prompts.allow:
            found["prompts"] = {"listChanged": True}
        if declared.get("resources") is not None and include.resources.allow:
            found["resources"] = {"listChanged": True, "subscribe": True}
        if declared.get("completions") is not None:
            found["completions"] = {}
    return found


def instructions(endpoint: Endpoint, parts: Sequence[Part]) -> str | None:
    """The document's own, then each server's under its name, then who cannot be reached."""
    texts = [endpoint.instructions] if endpoint.instructions else []
    for part in parts:
        told = part.lists.greeting.instructions if part.lists is not None else None
        if told:
            texts.append(f"## {_title(part)}\n\n{told}")
    away = [f"- {part.include.spec.name}: {part.failure}" for part in parts if part.failure]
    if away:
        texts.append("## Not available now\n\n" + "\n".join(away) + "\n\nWhat they offer comes back by itself.")
    return "\n\n".join(texts)[:MOST_INSTRUCTIONS] or None


def _title(part: Part) -> str:
    info = part.lists.greeting.server_info if part.lists is not None else {}
    title = info.get("title") or info.get("name")
    return title if isinstance(title, str) else part.include.spec.name


def away(parts: Sequence[Part]) -> str:
    """A sentence for an error that somebody gets because of servers that are away; empty where none is."""
    causes = [f"{part.include.spec.name} ({part.failure})" for part in parts if part.failure]
    return f" Not available now: {'; '.join(causes)}." if causes else ""
