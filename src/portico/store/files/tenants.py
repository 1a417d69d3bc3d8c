"""Tenants of a directory: those that files speak of, besides those that were made by name."""

from __future__ import annotations

import asyncio
import builtins
from pathlib import Path

from portico.store.files.directory import remove
from portico.store.files.documents import FileDocuments
from portico.store.records import Owner
from portico.store.sql.database import Database
from portico.store.sql.tenants import SqlTenants


class FileTenants(SqlTenants):
    def __init__(self, directory: Path, kept: FileDocuments, history: Database) -> None:
        super().__init__(history)
        self._directory = directory
        self._documents = kept

    async def list(self) -> builtins.list[Owner]:
        await self._documents.notice()
        return await super().list()

    async def delete(self, name: str, *, author: str, force: bool = False) -> None:
        """The files go first: whoever is killed in between finds their versions, and may begin again."""
        found = await self._documents.notice()
        if force:
            for (tenant, _), text in found.items():
                if tenant == name:
                    await asyncio.to_thread(remove, self._directory / text.key)
        await super().delete(name, author=author, force=force)
