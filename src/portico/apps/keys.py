"""`portico key create|list|revoke`: API keys in a store, which opens endpoints with `auth: {mode: apiKey}`."""

from __future__ import annotations

import time
from collections.abc import Sequence

from portico.apps.author import author
from portico.apps.desk import Desk
from portico.apps.outcome import Outcome
from portico.apps.printing import moment, table
from portico.config.key import key_hash, new_key
from portico.store.records import StoredKey

DAY = 86_400_000


class Keys(Desk):
    async def create(self, name: str, endpoints: Sequence[str], tools: Sequence[str], days: float | None) -> Outcome:
        """The key itself is in the answer and nowhere else: the store has its hash."""
        key = new_key()
        expires = None if days is None else int(time.time() * 1000 + days * DAY)
        stored = StoredKey(
            self._tenant, name, key_hash(key), key[-4:], tuple(endpoints), tuple(tools), created=0, expires=expires
        )
        await self._store.keys.add(stored, author=author())
        data = {"name": name, "key": key, "expires": moment(expires), "warnings": await self._told()}
        return Outcome([key, *data["warnings"]], data)

    async def listed(self) -> Outcome:
        now = time.time() * 1000
        data = [
            {
                "name": key.name,
                "key": f"pk_…{key.last_four}",
                "state": _state(key, now),
                "endpoints": key.endpoints,
                "tools": key.tools,
                "created": moment(key.created),
                "expires": moment(key.expires),
                "lastUsed": moment(key.last_used),
            }
            for key in await self._store.keys.list(self._tenant)
        ]
        return Outcome(table(data), data)

    async def revoke(self, name: str) -> Outcome:
        await self._store.keys.revoke(self._tenant, name, author=author())
        warnings = await self._told()
        return Outcome([f"{name}: revoked", *warnings], {"name": name, "warnings": warnings})


def _state(key: StoredKey, now: float) -> str:
    if key.revoked is not None:
        return "revoked"
    return "expired" if key.expires is not None and key.expires <= now else "works"
