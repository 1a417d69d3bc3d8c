"""Tenants and the prefixes that they own."""

from __future__ import annotations

import builtins
from dataclasses import replace

from sqlalchemy import delete, func, insert, select, true, update
from sqlalchemy.ext.asyncio import AsyncConnection

from portico.db.dialect import now
from portico.store.names import judge_name
from portico.store.records import Owner, Tenant
from portico.store.sql.audit import record
from portico.store.sql.database import Database
from portico.store.sql.schema import api_keys, documents, secrets, tenants
from portico.store.store import Missing, StoreError

SHOWN_BY = "portico tenant list"


class SqlTenants:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def list(self) -> builtins.list[Owner]:
        return await self._database.read(_owners)

    async def put(self, name: str, prefix: str, *, author: str, new: bool = False) -> None:
        judge_name("tenant", name)
        async with self._database.write(SHOWN_BY) as connection:
            found = await connection.execute(select(tenants.c.name).where(tenants.c.name == name))
            if found.one_or_none() is None:
                await connection.execute(insert(tenants).values(name=name, prefix=prefix, created=now()))
            elif new:
                raise StoreError(f"the tenant {name} is there already", "portico tenant prefix gives it another prefix")
            else:
                await connection.execute(update(tenants).where(tenants.c.name == name).values(prefix=prefix))
            note = f"prefix {prefix}" if prefix else ""
            await record(connection, name, author, "put", "tenant", name=name, note=note)

    async def delete(self, name: str, *, author: str, force: bool = False) -> None:
        async with self._database.write(SHOWN_BY) as connection:
            left = _has(next((each for each in await _owners(connection) if each.name == name), Owner(name)))
            if left and not force:
                raise StoreError(f"the tenant {name} still has {left}", "Remove them first, or with --force")
            # Also what can be seen no more: whoever takes the name next gets no versions and keys of this one.
            gone = [
                (await connection.execute(delete(table).where(mine == name))).rowcount
                for table, mine in (
                    (documents, documents.c.tenant),
                    (secrets, secrets.c.tenant),
                    (api_keys, api_keys.c.tenant),
                    (tenants, tenants.c.name),
                )
            ]
            if not any(gone):
                raise Missing(f"there is no tenant {name}", "portico tenant list shows those that are there")
            await record(connection, name, author, "delete", "tenant", name=name, note=left and f"with {left}")


def _has(owner: Owner) -> str:
    counts = ((owner.documents, "documents"), (owner.secrets, "secrets"), (owner.keys, "API keys"))
    return ", ".join(f"{count} {what}" for count, what in counts if count)


async def _owners(connection: AsyncConnection) -> list[Owner]:
    found = {each.name: Owner(each.name, each.prefix, each.created) for each in await all_tenants(connection)}
    for what, table, there in (
        ("documents", documents, documents.c.text.is_not(None)),
        ("secrets", secrets, true()),
        ("keys", api_keys, api_keys.c.revoked.is_(None)),
    ):
        wanted = select(table.c.tenant, func.count().label("number")).where(there).group_by(table.c.tenant)
        for row in await connection.execute(wanted):
            found[row.tenant] = replace(found.get(row.tenant, Owner(row.tenant)), **{what: row.number})
    return sorted(found.values(), key=lambda owner: owner.name)


async def all_tenants(connection: AsyncConnection) -> list[Tenant]:
    rows = await connection.execute(select(tenants))
    return sorted((Tenant(row.name, row.prefix, row.created) for row in rows), key=lambda tenant: tenant.name)
