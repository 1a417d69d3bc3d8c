"""Secrets as they were sealed. Nothing here can open one."""

from __future__ import annotations

import builtins

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from portico.db.dialect import now
from portico.store.names import judge_name
from portico.store.records import SealedSecret
from portico.store.sql.audit import record
from portico.store.sql.database import Database
from portico.store.sql.schema import secrets
from portico.store.store import Missing


class SqlSecrets:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def list(self, tenant: str | None = None) -> builtins.list[SealedSecret]:
        return await self._database.read(lambda connection: all_secrets(connection, tenant))

    async def put(self, tenant: str, name: str, sealed: bytes, key_id: str, *, author: str) -> None:
        judge_name("tenant", tenant)
        mine = (secrets.c.tenant == tenant, secrets.c.name == name)
        values = {"sealed": sealed, "key_id": key_id, "updated": now()}
        async with self._database.write(_shown_by(tenant)) as connection:
            if (await connection.execute(select(secrets.c.name).where(*mine))).one_or_none() is None:
                await connection.execute(insert(secrets).values(tenant=tenant, name=name, **values))
            else:
                await connection.execute(update(secrets).where(*mine).values(**values))
            await record(connection, tenant, author, "put", "secret", name=name)

    async def reseal(self, before: SealedSecret, sealed: bytes, key_id: str, *, author: str) -> bool:
        mine = (secrets.c.tenant == before.tenant, secrets.c.name == before.name)
        async with self._database.write(_shown_by(before.tenant)) as connection:
            now_there = (await connection.execute(select(secrets.c.sealed).where(*mine))).scalar_one_or_none()
            if now_there is None or bytes(now_there) != before.sealed:
                return False
            await connection.execute(update(secrets).where(*mine).values(sealed=sealed, key_id=key_id))
            await record(connection, before.tenant, author, "reseal", "secret", name=before.name)
            return True

    async def delete(self, tenant: str, name: str, *, author: str) -> None:
        async with self._database.write(_shown_by(tenant)) as connection:
            mine = delete(secrets).where(secrets.c.tenant == tenant, secrets.c.name == name)
            if not (await connection.execute(mine)).rowcount:
                raise Missing(
                    f"there is no secret {name} of the tenant {tenant}",
                    "portico secret list shows those that are there",
                )
            await record(connection, tenant, author, "delete", "secret", name=name)


def _shown_by(tenant: str) -> str:
    return f"portico secret list --tenant {tenant}"


async def all_secrets(connection: AsyncConnection, tenant: str | None = None) -> list[SealedSecret]:
    wanted = select(secrets) if tenant is None else select(secrets).where(secrets.c.tenant == tenant)
    rows = await connection.execute(wanted)
    found = [SealedSecret(row.tenant, row.name, bytes(row.sealed), row.key_id, row.updated) for row in rows]
    return sorted(found, key=lambda secret: (secret.tenant, secret.name))
