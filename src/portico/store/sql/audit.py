"""The audit: an entry in the same transaction as what it tells of."""

from __future__ import annotations

import builtins
from typing import Any

from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from portico.db.dialect import now
from portico.store.records import Event
from portico.store.sql.database import Database
from portico.store.sql.schema import audit
from portico.store.store import MAX_EVENTS, MAX_NOTE


class SqlAudit:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def now(self) -> int:
        return await self._database.read(lambda connection: _now(connection))

    async def list(self, tenant: str, most: int = 100) -> builtins.list[Event]:
        wanted = select(audit).where(audit.c.tenant == tenant).order_by(audit.c.id.desc()).limit(most)

        async def ask(connection: AsyncConnection) -> builtins.list[Event]:
            rows = await connection.execute(wanted)
            return [
                Event(row.at, row.tenant, row.author, row.action, row.kind, row.name, row.version, row.note)
                for row in rows
            ]

        return await self._database.read(ask)


async def _now(connection: AsyncConnection) -> int:
    return (await connection.execute(select(now()))).scalar_one()


async def record(connection: AsyncConnection, tenant: str, author: str, action: str, kind: str, **more: Any) -> None:
    """`name`, and where they say something `version` and `note`. The oldest entries make room."""
    values = {"tenant": tenant, "author": author[:255], "action": action, "kind": kind, "name": more["name"]}
    values |= {"version": more.get("version"), "note": more.get("note", "")[:MAX_NOTE]}
    await connection.execute(insert(audit).values(at=now(), **values))
    # Counted, because ids have gaps, and not every server gives them one by one.
    surplus = select(audit.c.id).order_by(audit.c.id.desc()).offset(MAX_EVENTS).limit(1)
    newest = (await connection.execute(surplus)).scalar_one_or_none()
    if newest is not None:
        await connection.execute(delete(audit).where(audit.c.id <= newest))
