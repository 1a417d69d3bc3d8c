"""SqlStore: joins the nouns over one database, and gives a gateway all of it at once."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from portico.db.address import Address
from portico.store.records import Contents, StoredText
from portico.store.sql.audit import SqlAudit
from portico.store.sql.database import Database
from portico.store.sql.documents import SqlDocuments
from portico.store.sql.keys import SqlKeys, all_keys
from portico.store.sql.replicas import SqlReplicas
from portico.store.sql.schema import documents
from portico.store.sql.secrets import SqlSecrets, all_secrets
from portico.store.sql.tenants import SqlTenants, all_tenants

BATCH = 20


class SqlStore:
    """Texts that were read stay at hand, so that a change of one document moves one text and not all of them."""

    def __init__(self, address: Address) -> None:
        self._database = Database(address)
        self._texts: dict[int, tuple[int, StoredText]] = {}
        self.documents = SqlDocuments(self._database)
        self.audit = SqlAudit(self._database)
        self.tenants = SqlTenants(self._database)
        self.secrets = SqlSecrets(self._database)
        self.keys = SqlKeys(self._database)
        self.replicas = SqlReplicas(self._database)

    async def revision(self) -> str:
        return str(await self._database.revision())

    async def read(self) -> Contents:
        # The revision is asked first: what is read may be newer than it, and is then read once more.
        revision = await self.revision()
        heads = await self._database.read(_heads)
        stale = [id for id, version in heads.items() if id not in self._texts or self._texts[id][0] != version]
        for start in range(0, len(stale), BATCH):
            batch = stale[start : start + BATCH]
            self._texts.update(await self._database.read(lambda connection, batch=batch: _texts(connection, batch)))
        self._texts = {id: self._texts[id] for id in heads if id in self._texts}
        texts = sorted((text for _, text in self._texts.values()), key=lambda text: text.key)
        return Contents(
            revision,
            tuple(texts),
            tuple(await self._database.read(all_secrets)),
            tuple(await self._database.read(all_keys)),
            tuple(await self._database.read(all_tenants)),
        )

    async def close(self) -> None:
        await self._database.close()


async def _heads(connection: AsyncConnection) -> dict[int, int]:
    wanted = select(documents.c.id, documents.c.version).where(documents.c.text.is_not(None))
    return {row.id: row.version for row in await connection.execute(wanted)}


async def _texts(connection: AsyncConnection, ids: list[int]) -> dict[int, tuple[int, StoredText]]:
    wanted = select(documents).where(documents.c.id.in_(ids), documents.c.text.is_not(None))
    return {
        row.id: (
            row.version,
            StoredText(f"{row.tenant}/{row.name}", bytes(row.text), tenant=row.tenant, name=row.name),
        )
        for row in await connection.execute(wanted)
    }
