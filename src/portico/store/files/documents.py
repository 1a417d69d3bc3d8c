"""Documents in a directory, with their versions in a database beside them.

The files are the truth. What somebody did to them with an editor is noticed by the next command, and becomes a version
by "file". A change holds the database while it replaces the file, so writers follow one another; one that is killed in
between leaves the file as it was or as it should be, and the next command notices that too.
"""

from __future__ import annotations

import asyncio
import builtins
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import and_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from portico.store.files.directory import read_all, remove, write
from portico.store.files.whose import whose
from portico.store.names import judge_name, judge_text
from portico.store.records import DEFAULT_TENANT, Kept, StoredText, Version
from portico.store.sql.database import Database
from portico.store.sql.documents import Change, SqlDocuments, change, missing, shown_by
from portico.store.sql.schema import documents, versions
from portico.store.store import StoreError

EDITOR = "file"
Owner = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Found:
    """The documents of a directory by tenant and name, and files that do not say whose they are."""

    texts: Mapping[Owner, StoredText]
    unclear: tuple[str, ...]


class FileDocuments:
    def __init__(self, directory: Path, history: Database) -> None:
        self._directory = directory
        self._history = history
        self._kept = SqlDocuments(history)

    async def list(self, tenant: str) -> builtins.list[Kept]:
        await self.notice()
        return await self._kept.list(tenant)

    async def get(self, tenant: str, name: str) -> Kept:
        await self.notice()
        return await self._kept.get(tenant, name)

    async def versions(self, tenant: str, name: str) -> builtins.list[Version]:
        await self.notice()
        return await self._kept.versions(tenant, name)

    async def text(self, tenant: str, name: str, number: int) -> bytes:
        await self.notice()
        return await self._kept.text(tenant, name, number)

    async def put(
        self, tenant: str, name: str, text: bytes, *, expected: int | None, author: str, action: str, note: str = ""
    ) -> int:
        judge_name("tenant", tenant)
        judge_name("document", name)
        judge_text(name, text)
        return await self._change(Change(tenant, name, text, expected, author, action, note))

    async def delete(self, tenant: str, name: str, *, expected: int | None, author: str, note: str = "") -> int:
        return await self._change(Change(tenant, name, None, expected, author, "delete", note))

    async def rollback(
        self, tenant: str, name: str, number: int, *, expected: int | None, author: str, note: str = ""
    ) -> int:
        text = await self.text(tenant, name, number)
        return await self._change(
            Change(tenant, name, text, expected, author, "rollback", note or f"as in version {number}")
        )

    async def notice(self) -> Mapping[Owner, StoredText]:
        """Make versions of what was done to the files by hand, and say which files there are."""
        found = await asyncio.to_thread(look, self._directory)
        if await self._history.read(lambda connection: _by_hand(connection, found)):
            async with self._history.write("portico config list") as connection:
                # Nobody else changes anything from here on, so what is seen now is what is noted.
                found = await asyncio.to_thread(look, self._directory)
                await _note(connection, found)
        return found.texts

    async def _change(self, wanted: Change) -> int:
        async with self._history.write(shown_by(wanted.tenant, wanted.name)) as connection:
            found = await asyncio.to_thread(look, self._directory)
            await _note(connection, found)
            there = found.texts.get((wanted.tenant, wanted.name))
            if wanted.text is None and there is None:
                raise missing(wanted.tenant, wanted.name)
            number = await change(connection, wanted)
            path = self._directory / (
                there.key if there is not None else new_key(wanted.tenant, wanted.name, self._directory)
            )
            if wanted.text is None:
                await asyncio.to_thread(remove, path)
            else:
                judge_owner(wanted.tenant, wanted.name, wanted.text, path)
                await asyncio.to_thread(write, path, wanted.text)
        return number


def look(directory: Path) -> Found:
    texts: dict[Owner, StoredText] = {}
    unclear: list[str] = []
    for text in read_all(directory):
        owner = whose(text.text, text.key) if text.text is not None else None
        # Of two files that name themselves alike the first is served, and so it is the one that counts.
        if owner is None or owner in texts:
            unclear.append(text.key)
        else:
            texts[owner] = text
    return Found(texts, tuple(unclear))


async def _by_hand(connection: AsyncConnection, found: Found) -> list[Change]:
    """What was done to the files since the last command, in the order of their owners."""
    newest = and_(versions.c.document == documents.c.id, versions.c.number == documents.c.version)
    wanted = select(documents.c.tenant, documents.c.name, versions.c.digest).join(versions, newest)
    rows = await connection.execute(wanted.where(documents.c.text.is_not(None)))
    known = {(row.tenant, row.name): row.digest for row in rows}
    changes = [
        Change(*owner, text.text, None, EDITOR, "edit", text.key)
        for owner, text in found.texts.items()
        if text.text is not None and known.get(owner) != hashlib.sha256(text.text).hexdigest()
    ]
    if not found.unclear:
        # A file that does not say whose it is may be one of those that are missed.
        gone = known.keys() - found.texts.keys()
        changes += [Change(*owner, None, None, EDITOR, "delete", "") for owner in gone]
    return sorted(changes, key=lambda each: (each.tenant, each.name))


async def _note(connection: AsyncConnection, found: Found) -> None:
    for each in await _by_hand(connection, found):
        await change(connection, each)


def new_key(tenant: str, name: str, directory: Path) -> str:
    """The file of a document that has none. StoreError when that is there, and is something else."""
    key = f"{name}.yaml" if tenant == DEFAULT_TENANT else f"{tenant}.{name}.yaml"
    if (directory / key).exists():
        raise StoreError(f"{directory / key} is there and is not the document {name}", "Rename that file first")
    return key


def judge_owner(tenant: str, name: str, text: bytes, path: Path) -> None:
    """A gateway on files believes the text, so the text has to say whose it is."""
    if whose(text, path.name) == (tenant, name):
        return
    if path.suffix == ".json" and whose(text, "a.yaml") == (tenant, name):
        raise StoreError(
            f"the document {name} lies in {path}, and what it should say is not JSON",
            "Give that file a name that ends with .yaml first",
        )
    line = "" if tenant == DEFAULT_TENANT else f" and `tenant: {tenant}`"
    raise StoreError(
        f"the text does not say that it is the document {name} of the tenant {tenant}",
        f"Write `name: {name}`{line} into it",
    )
