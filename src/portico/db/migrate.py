"""Brings a database to the schema of this program. Imported by `portico migrate` alone: Alembic is heavy."""

from __future__ import annotations

import os
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection

from portico.db.address import Address
from portico.db.dialect import turn
from portico.db.engine import create

MIGRATIONS = Path(__file__).parent / "migrations"


class NewerSchema(Exception):
    """The database was migrated by a program that knows migrations which this one does not."""


async def migrate(address: Address) -> None:
    """Create what is missing and change what is old; does nothing when all is as it should be."""
    if address.file:
        # It holds hashes and sealed secrets: nobody but its owner has a reason to read it.
        os.close(os.open(address.file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    engine = create(address)
    try:
        if address.file:
            async with engine.connect() as connection:
                await connection.run_sync(_write_ahead)
        async with engine.execution_options(writes=True).connect() as connection:
            await connection.run_sync(_upgrade)
    finally:
        await engine.dispose()


def _write_ahead(connection: Connection) -> None:
    """Readers and the writer do not wait for one another in this mode, which the file remembers."""
    cursor = connection.connection.cursor()
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.close()


def _upgrade(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    try:
        with turn(connection):
            command.upgrade(config, "head")
            # Whoever is next has to see what was done.
            connection.commit()
    except CommandError as error:
        raise NewerSchema(str(error)) from error
