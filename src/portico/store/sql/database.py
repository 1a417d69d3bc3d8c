"""A database as the nouns of the store use it: reads that survive a restart, and writes that follow one another.

Every write begins by counting the revision up. The row of the revision is locked from then to the commit, so writes
happen one after the other and revisions become visible in their order: a reader that has seen one has missed none
before it. No clock has a say in this.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

from sqlalchemy import select, update
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from portico.db.address import Address
from portico.db.dialect import lacks_table
from portico.db.engine import create, patience
from portico.db.migrations import SCHEMA
from portico.store.sql.schema import meta
from portico.store.store import SchemaError, StoreError, Unknown

T = TypeVar("T")

ATTEMPTS = 3
PAUSE = 0.2


class Database:
    """`prepare` is awaited before anything else is asked."""

    def __init__(self, address: Address, prepare: Callable[[], Awaitable[None]] | None = None) -> None:
        self._address = address
        self._prepare = prepare
        self._engine = create(address)
        self._writer = self._engine.execution_options(writes=True)
        # A transaction of SQLite sees one moment by itself.
        still = {} if address.file else {"isolation_level": "REPEATABLE READ"}
        self._still = self._engine.execution_options(**still)

    @property
    def shown(self) -> str:
        return self._address.shown

    async def revision(self) -> int:
        """The revision now. SchemaError when the tables are not this program's."""
        return await self.read(revision_now)

    async def read(self, question: Callable[[AsyncConnection], Awaitable[T]], *, still: bool = False) -> T:
        """Ask in one transaction; once more on a new connection when the one at hand turns out to be dead. While it is
        `still` it sees one moment, and may take long: then what it asks has to be bounded by itself."""
        for attempt in range(ATTEMPTS):
            try:
                async with self._reading(still) as connection:
                    return await question(connection)
            except (SQLAlchemyError, OSError, TimeoutError) as error:
                if attempt == ATTEMPTS - 1 or not _passing(error):
                    raise self._failure(error) from error
            await asyncio.sleep(PAUSE * 2**attempt)
        raise AssertionError("the last attempt returns or raises")

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[AsyncConnection]:
        """One transaction that sees one moment, however long it is read. What is asked has to be bounded by itself."""
        try:
            async with self._reading(still=True) as connection:
                yield connection
        except (SQLAlchemyError, OSError, TimeoutError) as error:
            raise self._failure(error) from error

    @asynccontextmanager
    async def _reading(self, still: bool) -> AsyncIterator[AsyncConnection]:
        await self._prepared()
        async with patience() as limit, (self._still if still else self._engine).connect() as connection:
            await self._look(connection)
            if still:
                limit.reschedule(None)
            yield connection

    @asynccontextmanager
    async def write(self, shown_by: str, *, counts: bool = True, long: bool = False) -> AsyncIterator[AsyncConnection]:
        """One transaction; with `counts` it is a new revision. It is never repeated: it may have been done. Where that
        cannot be told it is Unknown, and `shown_by` is the command that shows it. What a `long` one does has to be
        bounded by itself."""
        committing = False
        await self._prepared()
        try:
            async with patience() as limit, self._writer.connect() as connection:
                if counts:
                    await connection.execute(update(meta).values(revision=meta.c.revision + 1))
                # Each time: a migration may have come between, which holds the row while it works.
                await self._look(connection)
                if long:
                    limit.reschedule(None)
                yield connection
                # From here on only an answer says that it was done, and no kind of failure that it was not.
                committing = True
                await connection.commit()
        except (SQLAlchemyError, OSError, TimeoutError) as error:
            failure = self._failure(error)
            raise (self._unknown(failure, shown_by) if committing else failure) from error

    async def _prepared(self) -> None:
        if self._prepare is not None:
            await self._prepare()

    async def _look(self, connection: AsyncConnection) -> None:
        row = (await connection.execute(select(meta.c.schema, meta.c.least))).one_or_none()
        if row is None:
            raise self._empty()
        if row.schema < SCHEMA:
            raise SchemaError(
                f"the schema of {self.shown} is {row.schema}, older than {SCHEMA}, which this program works with",
                f"Run portico migrate --store {self.shown} with this program",
            )
        if row.least > SCHEMA:
            raise SchemaError(
                f"the schema of {self.shown} is {row.schema}, newer than {SCHEMA}, which this program works with",
                "Use the program that migrated it, or a newer one",
            )

    def _empty(self) -> SchemaError:
        return SchemaError(
            f"the store {self.shown} has no tables of Portico", f"Run portico migrate --store {self.shown} first"
        )

    def _failure(self, error: Exception) -> StoreError:
        """What went wrong, in words that hold neither a password nor what was being written."""
        cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
        words = self._address.clean(str(cause)).strip().splitlines()
        reason = words[0][:300] if words else type(cause).__name__
        if lacks_table(cause):
            return self._empty()
        if self._address.file and not Path(self._address.file).exists():
            return SchemaError(
                f"the store {self.shown} is not there", f"Run portico migrate --store {self.shown} to make it"
            )
        return StoreError(
            f"the store {self.shown} does not do what was asked: {reason}",
            "See whether the database runs, whether its address is right, and what its own log says",
        )

    def _unknown(self, failure: StoreError, shown_by: str) -> Unknown:
        return Unknown(
            f"it is unknown whether the change was made, for the store was lost meanwhile: {failure.message}",
            f"{shown_by} shows whether it was; make it again only if it was not",
        )

    async def close(self) -> None:
        await self._engine.dispose()


async def revision_now(connection: AsyncConnection) -> int:
    return (await connection.execute(select(meta.c.revision))).scalar_one()


def _passing(error: Exception) -> bool:
    """Whether another attempt may fare better: the connection is at fault, and not the question."""
    if isinstance(error, DBAPIError):
        return error.connection_invalidated or isinstance(error.orig, OSError) or "is locked" in str(error.orig)
    return isinstance(error, OSError) and not isinstance(error, TimeoutError)
