"""API keys: their hashes, what they may be used for, and when they were used last."""

from __future__ import annotations

import builtins
import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Row, insert, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from portico.db.dialect import now
from portico.store.names import judge_name
from portico.store.records import StoredKey
from portico.store.sql.audit import record
from portico.store.sql.database import Database
from portico.store.sql.schema import api_keys
from portico.store.store import MAX_KEY_NAME, Missing, StoreError


class SqlKeys:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def list(self, tenant: str | None = None) -> builtins.list[StoredKey]:
        return await self._database.read(lambda connection: all_keys(connection, tenant))

    async def add(self, key: StoredKey, *, author: str) -> None:
        judge_name("tenant", key.tenant)
        if not 0 < len(key.name) <= MAX_KEY_NAME:
            raise StoreError("that cannot be the name of a key", f"Use 1 to {MAX_KEY_NAME} characters")
        values: dict[str, Any] = {"tenant": key.tenant, "name": key.name, "hash": key.hash, "last_four": key.last_four}
        values |= {"endpoints": json.dumps(key.endpoints), "tools": json.dumps(key.tools), "expires": key.expires}
        async with self._database.write(_shown_by(key.tenant)) as connection:
            try:
                await connection.execute(insert(api_keys).values(created=now(), **values))
            except IntegrityError:
                raise StoreError(
                    f"the tenant {key.tenant} has a key {key.name} already", "Choose another name, or revoke that one"
                ) from None
            await record(connection, key.tenant, author, "create", "key", name=key.name)

    async def revoke(self, tenant: str, name: str, *, author: str) -> None:
        async with self._database.write(_shown_by(tenant)) as connection:
            mine = update(api_keys).where(
                api_keys.c.tenant == tenant, api_keys.c.name == name, api_keys.c.revoked.is_(None)
            )
            if not (await connection.execute(mine.values(revoked=now()))).rowcount:
                raise Missing(
                    f"the tenant {tenant} has no key {name} that works", "portico key list shows those that do"
                )
            await record(connection, tenant, author, "revoke", "key", name=name)

    async def used(self, hashes: Mapping[str, int]) -> None:
        async with self._database.write("portico key list", counts=False) as connection:
            for digest, ago in sorted(hashes.items()):
                at = now() - ago
                # Several workers tell of the same key, and the last to tell need not have seen it last.
                is_news = or_(api_keys.c.last_used.is_(None), api_keys.c.last_used < at)
                await connection.execute(
                    update(api_keys).where(api_keys.c.hash == digest, is_news).values(last_used=at)
                )


def _shown_by(tenant: str) -> str:
    return f"portico key list --tenant {tenant}"


async def all_keys(connection: AsyncConnection, tenant: str | None = None) -> list[StoredKey]:
    wanted = select(api_keys) if tenant is None else select(api_keys).where(api_keys.c.tenant == tenant)
    found = [_key(row) for row in await connection.execute(wanted)]
    return sorted(found, key=lambda key: (key.tenant, key.name))


def _key(row: Row[Any]) -> StoredKey:
    return StoredKey(
        tenant=row.tenant,
        name=row.name,
        hash=row.hash,
        last_four=row.last_four,
        endpoints=tuple(json.loads(row.endpoints)),
        tools=tuple(json.loads(row.tools)),
        created=row.created,
        expires=row.expires,
        revoked=row.revoked,
        last_used=row.last_used,
    )
