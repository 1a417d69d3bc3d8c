"""SqlStore: joins the nouns over one database, and gives a gateway all of it at once."""

from __future__ import annotations

from sqlalchemy import and_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from portico.db.address import Address
from portico.db.engine import patience
from portico.store.records import Contents, StoredText
from portico.store.sql.audit import SqlAudit
from portico.store.sql.database import Database, revision_now
from portico.store.sql.documents import SqlDocuments
from portico.store.sql.keys import SqlKeys, all_keys
from portico.store.sql.replicas import SqlReplicas
from portico.store.sql.rows import SqlRows
from portico.store.sql.schema import documents, versions
from portico.store.sql.secrets import SqlSecrets, all_secrets
from portico.store.sql.tenants import SqlTenants, all_tenants

BATCH = 20

Head = tuple[str, str, str]
"""Tenant, name and digest."""


class SqlStore:
    """Texts that were read stay at hand, so that a change of one document moves one text and not all of them. What is
    at hand is told by its digest: after a restoring the same row and version may say something else."""

    def __init__(self, address: Address) -> None:
        self._database = Database(address)
        self._texts: dict[int, tuple[Head, StoredText]] = {}
        self.documents = SqlDocuments(self._database)
        self.audit = SqlAudit(self._database)
        self.tenants = SqlTenants(self._database)
        self.secrets = SqlSecrets(self._database)
        self.keys = SqlKeys(self._database)
        self.replicas = SqlReplicas(self._database)
        self.rows = SqlRows(self._database)

    async def revision(self) -> str:
        return str(await self._database.revision())

    async def read(self) -> Contents:
        return await self._database.read(self._contents, still=True)

    async def _contents(self, connection: AsyncConnection) -> Contents:
        async with patience():
            revision = await revision_now(connection)
            heads = await _heads(connection)
        stale = [id for id, head in heads.items() if id not in self._texts or self._texts[id][0] != head]
        for start in range(0, len(stale), BATCH):
            async with patience():
                for id, text in await _texts(connection, stale[start : start + BATCH]):
                    self._texts[id] = heads[id], text
        self._texts = {id: self._texts[id] for id in heads}
        texts = sorted((text for _, text in self._texts.values()), key=lambda text: text.key)
        async with patience():
            return Contents(
                str(revision),
                tuple(texts),
                tuple(await all_secrets(connection)),
                tuple(await all_keys(connection)),
                tuple(await all_tenants(connection)),
            )

    async def close(self) -> None:
        await self._database.close()


async def _heads(connection: AsyncConnection) -> dict[int, Head]:
    newest = and_(versions.c.document == documents.c.id, versions.c.number == documents.c.version)
    wanted = select(documents.c.id, documents.c.tenant, documents.c.name, versions.c.digest)
    wanted = wanted.join(versions, newest).where(documents.c.text.is_not(None))
    return {row.id: (row.tenant, row.name, row.digest) for row in await connection.execute(wanted)}


async def _texts(connection: AsyncConnection, ids: list[int]) -> list[tuple[int, StoredText]]:
    wanted = select(documents.c.id, documents.c.tenant, documents.c.name, documents.c.text)
    rows = await connection.execute(wanted.where(documents.c.id.in_(ids)))
    return [
        (row.id, StoredText(f"{row.tenant}/{row.name}", bytes(row.text), tenant=row.tenant, name=row.name))
        for row in rows
    ]
