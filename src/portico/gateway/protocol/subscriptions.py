"""Telling clients that something changed: subscriptions/listen for modern ones, the standing stream for legacy ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

from portico.gateway.protocol.call import Call
from portico.gateway.protocol.params import UNSET, Filter
from portico.gateway.protocol.resources import MOST_SUBSCRIPTIONS, exists
from portico.gateway.session.session import Session
from portico.wire import errors
from portico.wire.errors import RpcError
from portico.wire.jsonrpc import Id, encode_notification, encode_result, members

SUBSCRIPTION_ID = "io.modelcontextprotocol/subscriptionId"
FANOUT = 200


class Events(Protocol):
    """The open reply of a `subscriptions/listen`."""

    def send(self, message: bytes) -> None: ...

    def close(self) -> None: ...


class Listening:
    """One open subscription: what it was granted and where it is told."""

    __slots__ = ("_events", "granted", "identifier", "prefix", "uris")

    def __init__(self, identifier: Id, prefix: str, granted: Filter, events: Events) -> None:
        self.identifier = identifier
        self.prefix = prefix
        self.granted = granted
        self.uris = frozenset(granted.resource_subscriptions)
        self._events = events

    def tell(self, method: str, params: dict[str, Any] | None = None) -> None:
        body = {**(params or {}), "_meta": {SUBSCRIPTION_ID: self.identifier}}
        self._events.send(encode_notification(method, body))

    def wants(self, kind: str) -> bool:
        return getattr(self.granted, f"{kind}_list_changed")

    def end(self) -> None:
        """A graceful end is the result of the request (specification 2026-07-28, patterns/subscriptions)."""
        meta = {"resultType": "complete", "_meta": {SUBSCRIPTION_ID: self.identifier}}
        self._events.send(encode_result(self.identifier, members(meta)))
        self._events.close()


def wanted_by(call: Call) -> Filter:
    """What a `subscriptions/listen` asks for; RpcError where that does not fit."""
    wanted = call.params.notifications
    if wanted is UNSET:
        raise RpcError(errors.INVALID_PARAMS, "The params lack `notifications`.")
    if len(wanted.resource_subscriptions) > MOST_SUBSCRIPTIONS:
        raise RpcError(errors.INVALID_PARAMS, f"A subscription names at most {MOST_SUBSCRIPTIONS} resources.")
    return wanted


class Subscriptions:
    """Everybody in this worker who wants to be told. `sessions` iterates over the legacy ones."""

    def __init__(self, sessions: Iterable[Session]) -> None:
        self._sessions = sessions
        self._listening: dict[str, set[Listening]] = {}

    def __len__(self) -> int:
        return sum(len(group) for group in self._listening.values())

    def listen(self, call: Call, events: Events) -> Callable[[], None]:
        """Open a subscription: the acknowledgement goes out first. Returns what ends it when the client is gone."""
        catalog, wanted = call.endpoint.catalog, wanted_by(call)
        return self.open(call, wanted, events, lambda uri: exists(catalog, uri))[1]

    def open(
        self, call: Call, wanted: Filter, events: Events, grants: Callable[[str], bool]
    ) -> tuple[Listening, Callable[[], None]]:
        """`grants` says which resources there are to be told of."""
        granted = Filter(
            wanted.tools_list_changed,
            wanted.prompts_list_changed,
            wanted.resources_list_changed,
            [uri for uri in wanted.resource_subscriptions if grants(uri)],
        )
        assert call.identifier is not None
        listening = Listening(call.identifier, call.endpoint.prefix, granted, events)
        listening.tell("notifications/subscriptions/acknowledged", {"notifications": granted})
        self._listening.setdefault(listening.prefix, set()).add(listening)
        return listening, lambda: self._forget(listening)

    def announce(self, prefix: str, kinds: frozenset[str], uris: frozenset[str]) -> Iterator[None]:
        """Tell everybody of one endpoint, FANOUT at a time: the caller decides what happens in between."""
        done = 0
        for session in self._sessions:
            if session.prefix != prefix or not session.version:
                continue
            for kind in sorted(kinds):
                session.standing.send(encode_notification(f"notifications/{kind}/list_changed"))
            for uri in sorted(uris & session.subscriptions):
                session.standing.send(encode_notification("notifications/resources/updated", {"uri": uri}))
            done += 1
            if done % FANOUT == 0:
                yield
        for listening in list(self._listening.get(prefix, ())):
            for kind in sorted(kinds):
                if listening.wants(kind):
                    listening.tell(f"notifications/{kind}/list_changed")
            for uri in sorted(uris & listening.uris):
                listening.tell("notifications/resources/updated", {"uri": uri})
            done += 1
            if done % FANOUT == 0:
                yield

    def end(self, prefix: str | None = None) -> None:
        """End every subscription, of one endpoint that is gone or of all."""
        for name in [prefix] if prefix is not None else list(self._listening):
            for listening in self._listening.pop(name, set()):
                listening.end()

    def _forget(self, listening: Listening) -> None:
        group = self._listening.get(listening.prefix)
        if group is not None:
            group.discard(listening)
            if not group:
                del self._listening[listening.prefix]
