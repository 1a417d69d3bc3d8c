"""What a gateway reads of a directory: its documents, and the keys and secrets that lie beside them, if any do."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from portico.store.files.directory import BESIDE, names, read_all, stamp
from portico.store.records import Contents, StoredText

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from portico.store.sql.database import Database

log = logging.getLogger("portico.store")


class FilesSource:
    """`contents` is what was read last."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.contents: Contents | None = None
        self._beside: Database | None = None
        self._complained = False
        names(directory)

    async def revision(self) -> str:
        files = await asyncio.to_thread(stamp, self.directory)
        beside = await self._database()
        return files if beside is None else f"{files}-{await beside.revision()}"

    async def read(self) -> Contents:
        # The revision is asked first: what is read may be newer than it, and is then read once more.
        revision = await self.revision()
        documents = tuple(await asyncio.to_thread(read_all, self.directory))
        beside = await self._database()
        self.contents = Contents(revision, documents) if beside is None else await _all(beside, revision, documents)
        return self.contents

    async def used(self, hashes: Mapping[str, int]) -> None:
        """See Keys. Where nothing lies beside the documents, no key can have been used."""
        beside = await self._database()
        if beside is not None:
            from portico.store.sql.keys import SqlKeys

            await SqlKeys(beside).used(hashes)

    async def close(self) -> None:
        if self._beside is not None:
            await self._beside.close()

    async def _database(self) -> Database | None:
        file = self.directory / BESIDE
        if not await asyncio.to_thread(self._is_there, file):
            beside, self._beside = self._beside, None
            if beside is not None:
                await beside.close()
        elif self._beside is None:
            # Whoever has files alone should not wait for the libraries of databases.
            from portico.db.address import parse
            from portico.store.sql.database import Database

            self._beside = Database(parse(f"sqlite:{file}"))
        return self._beside

    def _is_there(self, file: Path) -> bool:
        if os.access(file, os.R_OK | os.W_OK):
            return True
        if not self._complained and os.path.lexists(file):
            self._complained = True
            log.error("%s may not be read by this user: its keys and secrets are not served.", file)
        return False


async def _all(beside: Database, revision: str, documents: tuple[StoredText, ...]) -> Contents:
    from portico.store.sql.keys import all_keys
    from portico.store.sql.secrets import all_secrets
    from portico.store.sql.tenants import all_tenants

    async def ask(connection: AsyncConnection) -> Contents:
        secrets, keys = await all_secrets(connection), await all_keys(connection)
        return Contents(revision, documents, tuple(secrets), tuple(keys), tuple(await all_tenants(connection)))

    return await beside.read(ask)
