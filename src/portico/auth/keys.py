"""API keys: a dict from hash to principal. Hashes are compared as they come (see portico.config.key)."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable

from portico.auth.principal import Principal, Refused
from portico.config.key import Key, is_key, key_hash
from portico.config.patterns import compile_patterns


class KeyRing:
    """The keys of one endpoint. A revoked key is none; an expired one is refused for that. `used` learns when each was
    used last, by its hash, in seconds since 1970."""

    how = "Send an API key of this endpoint: Authorization: Bearer pk_… or X-API-Key: pk_…."
    issuer = None
    audience = ""
    scopes: tuple[str, ...] = ()
    takes_api_key_header = True

    def __init__(
        self, keys: Iterable[Key], clock: Callable[[], float] = time.time, used: dict[str, float] | None = None
    ) -> None:
        self._clock = clock
        self._used = {} if used is None else used
        self._principals = {key.hash: _principal(key) for key in keys if not key.revoked}
        self._ids = {principal.id: principal for principal in self._principals.values()}

    def with_keys(self, keys: Iterable[Key], prefix: str, used: dict[str, float]) -> KeyRing:
        """These keys, and those of the tenant's that open this endpoint. Of one hash the document's word counts."""
        ring = KeyRing([key for key in keys if opens(key, prefix)], self._clock, used)
        ring._principals |= self._principals
        ring._ids = {principal.id: principal for principal in ring._principals.values()}
        return ring

    def known(self, credential: str) -> Principal | None:
        digest = key_hash(credential) if is_key(credential) else ""
        found, now = self._principals.get(digest), self._clock()
        if found is None or found.until <= now:
            return None
        self._used[digest] = now
        return found

    async def verify(self, credential: str) -> Principal:
        found = self.known(credential)
        if found is not None:
            return found
        if is_key(credential) and key_hash(credential) in self._principals:
            raise Refused("The API key has expired.")
        raise Refused("The API key is not one of this endpoint's.")

    def still(self, principal: Principal) -> Principal | None:
        found = self._ids.get(principal.id)
        return found if found is not None and found.until > self._clock() else None


def opens(key: Key, prefix: str) -> bool:
    return not key.endpoints or compile_patterns(key.endpoints).admits(prefix)


def _principal(key: Key) -> Principal:
    # The hash tells a key from an earlier one of the same name, whose sessions are not its own.
    return Principal(
        id=f"key {key.tenant}/{key.name} {key.hash[:16]}",
        name=key.name,
        tools=compile_patterns(key.tools) if key.tools else None,
        until=math.inf if key.expires is None else key.expires,
    )
