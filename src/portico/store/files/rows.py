"""Everything that a directory and the database beside it keep, for backups."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import aclosing
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from portico.store.files.directory import names, remove, write
from portico.store.files.documents import FileDocuments, judge_owner, look, new_key
from portico.store.records import Row, Stamp
from portico.store.sql.database import Database
from portico.store.sql.rows import SqlRows
from portico.store.sql.schema import documents
from portico.store.store import StoreError


class FileRows:
    def __init__(self, directory: Path, kept: FileDocuments, history: Database) -> None:
        self._directory = directory
        self._documents = kept
        self._rows = SqlRows(history, self._restored)

    async def read(self) -> AsyncGenerator[Stamp | Row]:
        await self._documents.notice()
        async with aclosing(self._rows.read()) as rows:
            async for row in rows:
                yield row

    async def restore(self, stamp: Stamp, rows: Iterable[Row], *, replace: bool, author: str) -> None:
        if not replace and await asyncio.to_thread(names, self._directory):
            raise StoreError(
                f"the directory {self._directory} is not empty",
                "Restore into an empty one, or with --replace, which removes the documents that are there",
            )
        await self._rows.restore(stamp, rows, replace=replace, author=author)

    async def _restored(self, connection: AsyncConnection) -> None:
        """The files, before the rows are there for others: whoever fails in between has edited files by hand."""
        wanted = select(documents.c.tenant, documents.c.name, documents.c.text).where(documents.c.text.is_not(None))
        texts = {(row.tenant, row.name): bytes(row.text) for row in await connection.execute(wanted)}
        await asyncio.to_thread(_write_all, self._directory, texts)


def _write_all(directory: Path, texts: Mapping[tuple[str, str], bytes]) -> None:
    there = look(directory).texts
    keys = {owner: there[owner].key if owner in there else new_key(*owner, directory) for owner in texts}
    for (tenant, name), text in texts.items():
        judge_owner(tenant, name, text, directory / keys[tenant, name])
    for owner, text in texts.items():
        write(directory / keys[owner], text)
    for key in set(names(directory)) - set(keys.values()):
        remove(directory / key)
