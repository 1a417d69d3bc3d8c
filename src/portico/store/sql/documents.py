"""Documents and their versions. Of a deleted document the row stays, without a text, so that versions count on."""

from __future__ import annotations

import builtins
import hashlib
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, and_, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from portico.db.dialect import now
from portico.store.names import judge_name, judge_text
from portico.store.records import Kept, Version
from portico.store.sql.audit import record
from portico.store.sql.database import Database
from portico.store.sql.schema import documents, versions
from portico.store.store import MAX_NOTE, MAX_VERSIONS, Conflict, Missing


@dataclass(frozen=True, slots=True)
class Change:
    tenant: str
    name: str
    text: bytes | None
    expected: int | None
    author: str
    action: str
    note: str


class SqlDocuments:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def list(self, tenant: str) -> builtins.list[Kept]:
        wanted = select(documents).where(documents.c.tenant == tenant, documents.c.text.is_not(None))

        async def ask(connection: AsyncConnection) -> builtins.list[Kept]:
            return [_kept(row) for row in await connection.execute(wanted)]

        return sorted(await self._database.read(ask), key=lambda kept: kept.name)

    async def get(self, tenant: str, name: str) -> Kept:
        row = await self._database.read(lambda connection: _row(connection, tenant, name))
        if row is None or row.text is None:
            raise missing(tenant, name)
        return _kept(row)

    async def put(
        self, tenant: str, name: str, text: bytes, *, expected: int | None, author: str, action: str, note: str = ""
    ) -> int:
        judge_name("tenant", tenant)
        judge_name("document", name)
        judge_text(name, text)
        async with self._database.write(shown_by(tenant, name)) as connection:
            return await change(connection, Change(tenant, name, text, expected, author, action, note))

    async def delete(self, tenant: str, name: str, *, expected: int | None, author: str, note: str = "") -> int:
        async with self._database.write(shown_by(tenant, name)) as connection:
            row = await _row(connection, tenant, name)
            if row is None or row.text is None:
                raise missing(tenant, name)
            return await change(connection, Change(tenant, name, None, expected, author, "delete", note))

    async def versions(self, tenant: str, name: str) -> builtins.list[Version]:
        wanted = (
            select(*(column for column in versions.c if column.name != "text"))
            .join(documents, documents.c.id == versions.c.document)
            .where(documents.c.tenant == tenant, documents.c.name == name)
            .order_by(versions.c.number.desc())
        )

        async def ask(connection: AsyncConnection) -> builtins.list[Version]:
            rows = await connection.execute(wanted)
            return [Version(row.number, row.author, row.action, row.note, row.at, row.digest, row.size) for row in rows]

        found = await self._database.read(ask)
        if not found:
            raise missing(tenant, name)
        return found

    async def text(self, tenant: str, name: str, number: int) -> bytes:
        return await self._database.read(lambda connection: _text(connection, tenant, name, number))

    async def rollback(
        self, tenant: str, name: str, number: int, *, expected: int | None, author: str, note: str = ""
    ) -> int:
        async with self._database.write(shown_by(tenant, name)) as connection:
            text = await _text(connection, tenant, name, number)
            note = note or f"as in version {number}"
            return await change(connection, Change(tenant, name, text, expected, author, "rollback", note))


def shown_by(tenant: str, name: str) -> str:
    return f"portico config versions {name} --tenant {tenant}"


def missing(tenant: str, name: str) -> Missing:
    return Missing(
        f"there is no document {name} of the tenant {tenant}", "portico config list shows those that are there"
    )


async def _row(connection: AsyncConnection, tenant: str, name: str) -> Row[Any] | None:
    wanted = select(documents).where(documents.c.tenant == tenant, documents.c.name == name)
    return (await connection.execute(wanted)).one_or_none()


async def _text(connection: AsyncConnection, tenant: str, name: str, number: int) -> bytes:
    wanted = (
        select(versions.c.text)
        .join(documents, documents.c.id == versions.c.document)
        .where(documents.c.tenant == tenant, documents.c.name == name, versions.c.number == number)
    )
    row = (await connection.execute(wanted)).one_or_none()
    if row is None or row.text is None:
        raise Missing(
            f"there is no text of version {number} of the document {name}",
            "portico config versions shows those that are kept",
        )
    return bytes(row.text)


async def change(connection: AsyncConnection, change: Change) -> int:
    """The row, its version and the entry of the audit. The transaction holds the revision, so nobody is between."""
    row = await _row(connection, change.tenant, change.name)
    current = row.version if row is not None and row.text is not None else 0
    if change.expected is not None and change.expected != current:
        raise Conflict(change.name, change.expected, current)
    number = row.version + 1 if row is not None else 1
    values = {"version": number, "text": change.text, "author": change.author[:255], "at": now()}
    if row is not None:
        document = row.id
        await connection.execute(update(documents).where(documents.c.id == document).values(**values))
    else:
        done = await connection.execute(insert(documents).values(tenant=change.tenant, name=change.name, **values))
        assert done.inserted_primary_key is not None
        document = done.inserted_primary_key[0]
    await connection.execute(insert(versions).values(document=document, number=number, **_version(change)))
    old = and_(versions.c.document == document, versions.c.number <= number - MAX_VERSIONS)
    await connection.execute(delete(versions).where(old))
    about: dict[str, Any] = {"name": change.name, "version": number, "note": change.note}
    await record(connection, change.tenant, change.author, change.action, "document", **about)
    return number


def _version(change: Change) -> dict[str, Any]:
    return {
        "text": change.text,
        "digest": hashlib.sha256(change.text).hexdigest() if change.text is not None else "",
        "size": len(change.text) if change.text is not None else 0,
        "author": change.author[:255],
        "action": change.action,
        "note": change.note[:MAX_NOTE],
        "at": now(),
    }


def _kept(row: Row[Any]) -> Kept:
    return Kept(row.tenant, row.name, row.version, bytes(row.text), row.at, row.author)
