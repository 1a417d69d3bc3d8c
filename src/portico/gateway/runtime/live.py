"""The snapshot that is served now. A request takes it once and keeps it to its end, whatever is swapped meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from portico.gateway.runtime.snapshot import EMPTY, Snapshot

Announce = Callable[[str, frozenset[str], frozenset[str]], Iterator[None]]


ALL_KINDS = frozenset(("tools", "prompts", "resources"))


class Live:
    def __init__(self) -> None:
        self.current: Snapshot = EMPTY
        self.ready = False
        # What is wrong with the store, while what was read last goes on being served.
        self.trouble = ""
        # Which secrets of the store cannot be opened.
        self.unsealed = ""

    def swap(self, snapshot: Snapshot) -> Snapshot:
        """Serve this one from the next request on; returns the one before."""
        before, self.current = self.current, snapshot
        self.ready = True
        return before


def differences(before: Snapshot, after: Snapshot) -> Iterator[tuple[str, frozenset[str], frozenset[str]]]:
    """Endpoints whose lists or fixed resources differ: prefix, kinds of list, URIs."""
    for prefix, endpoint in after.endpoints.items():
        old = before.endpoints.get(prefix)
        if old is None or old is endpoint:
            continue
        kinds = old.catalog.changes(endpoint.catalog)
        if old.aggregate != endpoint.aggregate:
            # What the lists of included servers become, only asking them would tell.
            kinds = ALL_KINDS
        uris = old.catalog.changed_resources(endpoint.catalog)
        if kinds or uris:
            yield prefix, kinds, uris


def vanished(before: Snapshot, after: Snapshot) -> list[str]:
    """Prefixes that are served no more."""
    return [prefix for prefix in before.endpoints if prefix not in after.endpoints]


def moved(before: Snapshot, after: Snapshot) -> list[str]:
    """Prefixes behind which another upstream stands than before: no session with the old one can go on."""
    return [
        prefix
        for prefix, endpoint in after.endpoints.items()
        if prefix in before.endpoints and before.endpoints[prefix].upstream != endpoint.upstream
    ]
