"""A modern client's `subscriptions/listen` at a legacy server: it hears what the server tells the session it shares."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from portico.gateway.protocol.bridge.held import Held
from portico.gateway.protocol.bridge.members import encode, error, members_of, raw, result, value_of
from portico.gateway.protocol.params import Filter
from portico.upstream.mcp.hearing import RECONNECTED
from portico.upstream.mcp.upstream import Conversation, Hear, Heard, Outcome
from portico.wire import errors
from portico.wire.jsonrpc import Id

MOST_SUBSCRIPTIONS = 1_000
SUBSCRIPTION = "io.modelcontextprotocol/subscriptionId"
_KINDS = ("tools", "prompts", "resources")

Enter = Callable[[], Awaitable[tuple[Conversation, Held]]]


async def listen(
    enter: Enter,
    params: bytes | None,
    identifier: Id,
    hear: Hear | None,
    until_replaced: Callable[[], asyncio.Future[None]],
) -> Outcome:
    """Until the client leaves, or the upstream is replaced. `enter` gives the session, and what is kept with it."""
    try:
        wanted = msgspec.json.decode(params or b"{}", type=_Wanted).notifications
    except (msgspec.MsgspecError, RecursionError) as problem:
        return error(errors.INVALID_PARAMS, f"The params do not fit: {problem}")
    if len(wanted.resource_subscriptions) > MOST_SUBSCRIPTIONS:
        return error(errors.INVALID_PARAMS, f"A subscription names at most {MOST_SUBSCRIPTIONS} resources.")
    conversation, held = await enter()
    uris: list[str] = []
    subscriber: Subscriber | None = None
    try:
        if "resources" in held.capabilities and "subscribe" in members_of(held.capabilities["resources"]):
            for uri in dict.fromkeys(wanted.resource_subscriptions):
                if await held.subscribe(uri):
                    uris.append(uri)
        granted = Filter(**_granted(held, wanted), resource_subscriptions=uris)
        subscriber = Subscriber(identifier, granted, hear)
        held.listening.add(subscriber.hear)
        subscriber.tell("notifications/subscriptions/acknowledged", {"notifications": granted})
        await until_replaced()
    finally:
        if subscriber is not None:
            held.listening.discard(subscriber.hear)
        for uri in uris:
            held.unsubscribe(uri)
        conversation.release()
    return result({"resultType": "complete", "_meta": {SUBSCRIPTION: identifier}})


class Subscriber:
    """One open subscription of a modern client: what it was granted, and where it is told."""

    def __init__(self, identifier: Id, granted: Filter, hear: Hear | None) -> None:
        self._identifier = identifier
        self._kinds = [kind for kind in _KINDS if getattr(granted, f"{kind}_list_changed")]
        self._uris = tuple(granted.resource_subscriptions)
        self._hear = hear

    def hear(self, heard: Heard) -> None:
        if heard.method == RECONNECTED:
            for kind in self._kinds:
                self.tell(f"notifications/{kind}/list_changed", {})
            for uri in self._uris:
                self.tell("notifications/resources/updated", {"uri": uri})
        elif heard.method == "notifications/resources/updated":
            found = members_of(heard.params)
            uri = value_of(found.get("uri"))
            if isinstance(uri, str) and any(uri == one or uri.startswith(one.rstrip("/") + "/") for one in self._uris):
                self.tell(heard.method, found)
        elif any(heard.method == f"notifications/{kind}/list_changed" for kind in self._kinds):
            self.tell(heard.method, members_of(heard.params))

    def tell(self, method: str, params: Mapping[str, Any]) -> None:
        if self._hear is not None:
            meta = members_of(params.get("_meta")) | {SUBSCRIPTION: raw(self._identifier)}
            self._hear(Heard(method, encode({**params, "_meta": meta})))


def _granted(held: Held, wanted: Filter) -> dict[str, bool]:
    """Whether or not the server tells of changes: one that is back after it was away has changed for all we know."""
    names = {kind: f"{kind}_list_changed" for kind in _KINDS}
    return {name: getattr(wanted, name) and kind in held.capabilities for kind, name in names.items()}


class _Wanted(msgspec.Struct):
    notifications: Filter
