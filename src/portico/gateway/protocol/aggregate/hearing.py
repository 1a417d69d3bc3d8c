"""What an included server says that concerns no call: told on in public names, and noted where lists have changed."""

from __future__ import annotations

from collections.abc import Iterable

from portico.gateway.protocol.aggregate.rewriting import members_of, text_of
from portico.gateway.routing.include import Include
from portico.gateway.routing.naming import public_uri
from portico.upstream.mcp.hearing import RECONNECTED
from portico.upstream.mcp.upstream import Heard

ALL_KINDS = frozenset(("tools", "prompts", "resources"))
ACKNOWLEDGED = "notifications/subscriptions/acknowledged"
UPDATED = "notifications/resources/updated"


def changed_kinds(heard: Heard) -> frozenset[str]:
    """The kinds of list that are not what they were."""
    if heard.method == RECONNECTED:
        return ALL_KINDS
    kind = heard.method.removeprefix("notifications/").removesuffix("/list_changed")
    return frozenset((kind,)) & ALL_KINDS if heard.method.endswith("/list_changed") else frozenset()


def public_update(includes: Iterable[Include], params: bytes | None, wanted: Iterable[str]) -> list[str]:
    """The public URIs of an updated resource, as far as somebody wants them: itself, or what it is a part of."""
    own = text_of(members_of(params or b"{}").get("uri"))
    if own is None:
        return []
    public = dict.fromkeys(public_uri(include.prefix, own) for include in includes if not include.resources.denies(own))
    wishes = tuple(wanted)
    return [uri for uri in public if any(uri == wish or uri.startswith(wish.rstrip("/") + "/") for wish in wishes)]
