"""FilesStore: a directory of documents as a store that commands change."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from portico.store.files.documents import FileDocuments
from portico.store.files.history import History
from portico.store.files.rows import FileRows
from portico.store.files.source import FilesSource
from portico.store.files.tenants import FileTenants
from portico.store.records import Contents
from portico.store.sql.audit import SqlAudit
from portico.store.sql.keys import SqlKeys
from portico.store.sql.replicas import SqlReplicas
from portico.store.sql.secrets import SqlSecrets


class FilesStore:
    """See Store for what the methods promise."""

    def __init__(self, directory: Path) -> None:
        self._source = FilesSource(directory)
        self._history = History(directory)
        self.documents = FileDocuments(directory, self._history)
        self.audit = SqlAudit(self._history)
        self.tenants = FileTenants(directory, self.documents, self._history)
        self.secrets = SqlSecrets(self._history)
        self.keys = SqlKeys(self._history)
        self.replicas = SqlReplicas(self._history)
        self.rows = FileRows(directory, self.documents, self._history)

    async def revision(self) -> str:
        return await self._source.revision()

    async def read(self) -> Contents:
        """As a gateway reads it, and besides whose each text is."""
        owners = {text.key: owner for owner, text in (await self.documents.notice()).items()}
        contents = await self._source.read()
        texts = [
            replace(text, tenant=owners[text.key][0], name=owners[text.key][1]) if text.key in owners else text
            for text in contents.documents
        ]
        return replace(contents, documents=tuple(texts))

    async def close(self) -> None:
        await self._source.close()
        await self._history.close()
