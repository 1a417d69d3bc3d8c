"""What gateways report of themselves. How old a report is says the database's clock, which wrote it."""

from __future__ import annotations

import builtins
from collections.abc import Collection

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from portico.db.dialect import now, upsert
from portico.store.records import Replica
from portico.store.sql.database import Database
from portico.store.sql.schema import replicas
from portico.store.store import MAX_REPLICAS, MAX_REPORT, StoreError

BATCH = 500
SHOWN_BY = "portico replicas"


class SqlReplicas:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def report(self, id: str, report: bytes) -> None:
        if len(report) > MAX_REPORT:
            raise StoreError(f"the report of {id} is larger than {MAX_REPORT // 1024} KiB", "Say less in it")
        values = {"report": report, "reported_at": now()}
        async with self._database.write(SHOWN_BY, counts=False) as connection:
            await connection.execute(upsert(connection.dialect.name, replicas, {"id": id}, values))

    async def list(self) -> builtins.list[Replica]:
        wanted = select(replicas.c.id, replicas.c.report, (now() - replicas.c.reported_at).label("age"))
        newest = wanted.order_by(replicas.c.reported_at.desc(), replicas.c.id).limit(MAX_REPLICAS)

        async def ask(connection: AsyncConnection) -> builtins.list[Replica]:
            return [Replica(row.id, bytes(row.report), row.age) for row in await connection.execute(newest)]

        return sorted(await self._database.read(ask), key=lambda replica: replica.id)

    async def forget(self, ids: Collection[str]) -> None:
        async with self._database.write(SHOWN_BY, counts=False) as connection:
            await connection.execute(delete(replicas).where(replicas.c.id.in_(ids)))

    async def clear(self, older: int) -> None:
        wanted = select(replicas.c.id, (now() - replicas.c.reported_at).label("age"))

        async def ask(connection: AsyncConnection) -> builtins.list[str]:
            rows = (await connection.execute(wanted.order_by(replicas.c.reported_at.desc(), replicas.c.id))).all()
            return [row.id for number, row in enumerate(rows) if row.age > older or number >= MAX_REPLICAS]

        # Found first and removed by their ids: no row of another replica, which is about to write it, is locked.
        doomed = await self._database.read(ask)
        for start in range(0, len(doomed), BATCH):
            await self.forget(doomed[start : start + BATCH])
