"""From a URL to a store: the one list of the kinds of store that are built."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from portico.store.files import FilesStore
from portico.store.store import Source, Store, StoreError

if TYPE_CHECKING:
    from portico.db.address import Address

FORMS = "Write files:DIR, sqlite:FILE, postgresql://USER:PASSWORD@HOST/DATABASE or mysql://USER:PASSWORD@HOST/DATABASE"
SERVERS = ("sqlite", "postgresql", "postgres", "mysql", "mariadb")


def open_source(url: str) -> Source:
    """What a gateway reads. Raises StoreError when there is no such kind, and when a directory is not there."""
    if url.partition(":")[0] in SERVERS:
        return open_store(url)
    scheme, found, rest = url.partition(":")
    if not found or scheme != "files":
        raise StoreError(f'the store "{scheme[:40]}" is of no known kind', FORMS)
    if not rest:
        raise StoreError("the store files: names no directory", "Write files:DIR, such as files:./documents")
    return FilesStore(Path(rest))


def open_store(url: str) -> Store:
    """What writers work on: a database. Nothing is connected yet."""
    # Whoever has files alone should not wait for the libraries of databases.
    from portico.store.sql.store import SqlStore

    return SqlStore(_address(url))


async def migrate(url: str) -> None:
    """Bring a database to the schema of this program, or make it. Raises StoreError when that cannot be done."""
    from portico.store.sql.migrate import migrate as run

    await run(_address(url))


def _address(url: str) -> Address:
    if url.partition(":")[0] not in SERVERS:
        raise StoreError(f'the store "{url.partition(":")[0][:40]}" is no database', FORMS)
    from portico.db.address import parse

    try:
        return parse(url)
    except ValueError as error:
        raise StoreError(f"the address of the store cannot be used: {error}", FORMS) from None
