"""Everything that a store keeps, row by row: read as it was at one moment, and written in one transaction.

Rows are of the tables as they are, so that a new column is carried along without a word here. Only numbers that a
database gives by itself are given anew, and versions find their document by what they were.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator
from itertools import groupby, islice
from typing import Any

from sqlalchemy import Column, Table, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from portico.db.dialect import now
from portico.db.engine import patience
from portico.db.migrations import SCHEMA
from portico.store.names import judge_name, judge_text
from portico.store.records import Row, Stamp
from portico.store.sql.audit import record
from portico.store.sql.database import Database, revision_now
from portico.store.sql.schema import api_keys, audit, documents, meta, secrets, tenants, versions
from portico.store.store import StoreError

BATCH = 20
KEPT = {
    table.name.removeprefix("portico_"): table for table in (tenants, documents, versions, audit, secrets, api_keys)
}
"""In the order in which they are written: a version comes after its document."""


class SqlRows:
    """`restored` is awaited before what was restored becomes visible."""

    def __init__(
        self, database: Database, restored: Callable[[AsyncConnection], Awaitable[None]] | None = None
    ) -> None:
        self._database = database
        self._restored = restored

    async def read(self) -> AsyncGenerator[Stamp | Row]:
        async with self._database.snapshot() as connection:
            async with patience():
                at = (await connection.execute(select(now()))).scalar_one()
                stamp = Stamp(SCHEMA, await revision_now(connection), at)
            yield stamp
            for noun, table in KEPT.items():
                wanted = select(table).order_by(*table.primary_key.columns)
                async with connection.stream(wanted.execution_options(yield_per=BATCH)) as rows:
                    while True:
                        async with patience():
                            batch = await rows.fetchmany(BATCH)
                        if not batch:
                            break
                        for row in batch:
                            yield judged(Row(noun, {name: _plain(value) for name, value in row._mapping.items()}))

    async def restore(self, stamp: Stamp, rows: Iterable[Row], *, replace: bool, author: str) -> None:
        if stamp.schema != SCHEMA:
            raise StoreError(
                f"the backup is of schema {stamp.schema}, and this program works with {SCHEMA}",
                "Restore it with the program that made it, and run portico migrate with this one then",
            )
        async with self._database.write("portico config list", long=True) as connection:
            for table in reversed(KEPT.values()):
                await _make_room(connection, self._database.shown, table, replace)
            owners = await _insert(connection, rows)
            for tenant in sorted(owners):
                await record(connection, tenant, author, "restore", "store", name="", note=f"revision {stamp.revision}")
            # Higher than any that was ever seen of this store or of the one that the backup is of, so that no gateway
            # takes what is here now for what it knows.
            before, at = await revision_now(connection), (await connection.execute(select(now()))).scalar_one()
            await connection.execute(update(meta).values(revision=max(before, stamp.revision, at) + 1))
            if self._restored is not None:
                await self._restored(connection)


async def _make_room(connection: AsyncConnection, shown: str, table: Table, replace: bool) -> None:
    async with patience():
        if replace:
            await connection.execute(delete(table))
        elif (await connection.execute(select(1).select_from(table).limit(1))).first() is not None:
            raise StoreError(
                f"the store {shown} is not empty: {table.name} has rows",
                "Restore into a new database, for which portico migrate makes the tables, or with --replace, which "
                "removes everything that is there",
            )


async def _insert(connection: AsyncConnection, rows: Iterable[Row]) -> set[str]:
    """Whose they are."""
    owners: set[str] = set()
    ids: dict[int, int] = {}
    for noun, batch in _batches(rows):
        table = KEPT[noun]
        owners |= {values["name" if table is tenants else "tenant"] for values in batch if table is not versions}
        async with patience():
            if table is documents:
                for values in batch:
                    former = values.pop("id")
                    done = await connection.execute(insert(table).values(**values))
                    assert done.inserted_primary_key is not None
                    ids[former] = done.inserted_primary_key[0]
            else:
                await connection.execute(insert(table), [_placed(table, values, ids) for values in batch])
    return owners


def _batches(rows: Iterable[Row]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    for noun, group in groupby(map(judged, rows), lambda row: row.table):
        while batch := [dict(row.values) for row in islice(group, BATCH)]:
            yield noun, batch


def _placed(table: Table, values: dict[str, Any], ids: dict[int, int]) -> dict[str, Any]:
    if table is versions:
        if values["document"] not in ids:
            raise _wrong("a version is there without its document")
        return values | {"document": ids[values["document"]]}
    return {name: value for name, value in values.items() if table is not audit or name != "id"}


def judged(row: Row) -> Row:
    """The row, when a store of this program may keep it."""
    table, values = KEPT.get(row.table), row.values
    if table is None or values.keys() != set(table.columns.keys()):
        raise _wrong(f"a row of {row.table[:40]!r} is not one that this program knows")
    for column in table.columns:
        if not _fits(column, values[column.name]):
            raise _wrong(f"{column.name} of a row of {row.table} cannot be {values[column.name]!r:.60}")
    if "tenant" in values:
        judge_name("tenant", str(values["tenant"]))
    if table in (tenants, documents):
        judge_name("tenant" if table is tenants else "document", str(values["name"]))
    if table is api_keys and not all(_is_list_of_texts(str(values[name])) for name in ("endpoints", "tools")):
        raise _wrong(f"what the key {values['name']!r:.60} may be used for is no list")
    text = values.get("text")
    if isinstance(text, bytes):
        judge_text(str(values.get("name", "in a version")), text)
        if table is versions and hashlib.sha256(text).hexdigest() != values["digest"]:
            raise _wrong(f"version {values['number']} of a document is not what its digest says")
    return row


def _is_list_of_texts(value: str) -> bool:
    try:
        found = json.loads(value)
    except ValueError:
        return False
    return isinstance(found, list) and all(isinstance(each, str) for each in found)


def _fits(column: Column[Any], value: object) -> bool:
    if value is None:
        return bool(column.nullable)
    most = getattr(column.type, "length", None) if isinstance(value, str) else None
    return type(value) is column.type.python_type and (most is None or len(str(value)) <= most)


def _plain(value: Any) -> Any:
    """Drivers have types of their own for bytes."""
    return bytes(value) if isinstance(value, bytearray | memoryview) else value


def _wrong(what: str) -> StoreError:
    return StoreError(what, "Portico writes no such thing; see who else wrote to the store or to the backup")
