"""Tenants and the prefixes that they own."""

from __future__ import annotations

import builtins

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from portico.db.dialect import now
from portico.store.names import judge_name
from portico.store.records import Tenant
from portico.store.sql.audit import record
from portico.store.sql.database import Database
from portico.store.sql.schema import api_keys, documents, secrets, tenants
from portico.store.store import Missing, StoreError

SHOWN_BY = "portico tenant list"


class SqlTenants:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def list(self) -> builtins.list[Tenant]:
        return await self._database.read(all_tenants)

    async def put(self, name: str, prefix: str, *, author: str) -> None:
        judge_name("tenant", name)
        async with self._database.write(SHOWN_BY) as connection:
            found = await connection.execute(select(tenants.c.name).where(tenants.c.name == name))
            if found.one_or_none() is None:
                await connection.execute(insert(tenants).values(name=name, prefix=prefix, created=now()))
            else:
                await connection.execute(update(tenants).where(tenants.c.name == name).values(prefix=prefix))
            note = f"prefix {prefix}" if prefix else ""
            await record(connection, name, author, "put", "tenant", name=name, note=note)

    async def delete(self, name: str, *, author: str) -> None:
        async with self._database.write(SHOWN_BY) as connection:
            for table, kind in ((documents, "documents"), (secrets, "secrets"), (api_keys, "API keys")):
                mine = select(table.c.name).where(table.c.tenant == name).limit(1)
                if table is documents:
                    mine = mine.where(documents.c.text.is_not(None))
                if (await connection.execute(mine)).first() is not None:
                    raise StoreError(f"the tenant {name} still has {kind}", "Remove them first")
            gone = await connection.execute(delete(tenants).where(tenants.c.name == name))
            if not gone.rowcount:
                raise Missing(f"there is no tenant {name}", "portico tenant list shows those that are there")
            await record(connection, name, author, "delete", "tenant", name=name)


async def all_tenants(connection: AsyncConnection) -> list[Tenant]:
    rows = await connection.execute(select(tenants))
    return sorted((Tenant(row.name, row.prefix, row.created) for row in rows), key=lambda tenant: tenant.name)
