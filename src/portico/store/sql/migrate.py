"""What `portico migrate` says when a database cannot be brought to the schema of this program."""

from __future__ import annotations

from sqlalchemy.exc import SQLAlchemyError

from portico.db import migrate as db
from portico.db.address import Address
from portico.store.store import SchemaError, StoreError


async def migrate(address: Address) -> None:
    """Make the tables, or bring them to this program's schema."""
    try:
        await db.migrate(address)
    except db.NewerSchema:
        raise SchemaError(
            f"the schema of {address.shown} is newer than this program",
            "Use the program that migrated it, or a newer one",
        ) from None
    except (SQLAlchemyError, OSError, TimeoutError) as error:
        words = address.clean(str(getattr(error, "orig", None) or error)).splitlines()
        raise StoreError(
            f"the store {address.shown} could not be migrated: {words[0] if words else type(error).__name__}",
            "See whether the directory of the file is there and this user may write to it"
            if address.file
            else "See whether the database runs and whether its user may create tables",
        ) from error
