"""From a URL to a store: the one list of the kinds of store that are built."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from portico.store.files.source import FilesSource
from portico.store.store import Source, Store, StoreError

if TYPE_CHECKING:
    from portico.db.address import Address

FORMS = "Write files:DIR, sqlite:FILE, postgresql://USER:PASSWORD@HOST/DATABASE or mysql://USER:PASSWORD@HOST/DATABASE"
SERVERS = ("sqlite", "postgresql", "postgres", "mysql", "mariadb")


def open_source(url: str) -> Source:
    """What a gateway reads. Raises StoreError when there is no such kind, and when a directory is not there."""
    return open_files(url) if url.startswith("files:") else open_store(url)


def open_files(url: str) -> FilesSource:
    """What a gateway reads of a directory of documents. Raises StoreError when it is not there."""
    directory = _directory(url)
    assert directory is not None
    return FilesSource(directory)


def open_store(url: str) -> Store:
    """What writers work on. Nothing is connected yet, and nothing made."""
    # A gateway that has files alone should not wait for the libraries of databases.
    directory = _directory(url)
    if directory is not None:
        from portico.store.files.store import FilesStore

        return FilesStore(directory)
    from portico.store.sql.store import SqlStore

    return SqlStore(_address(url))


async def migrate(url: str) -> None:
    """Bring a database to the schema of this program, or make it. Raises StoreError when that cannot be done."""
    directory = _directory(url)
    if directory is not None:
        from portico.store.files.history import make

        await make(directory)
        return
    from portico.store.sql.migrate import migrate as run

    await run(_address(url))


def _directory(url: str) -> Path | None:
    """Of a files store; None for another one."""
    scheme, _, rest = url.partition(":")
    if scheme == "files" and not rest:
        raise StoreError("the store files: names no directory", "Write files:DIR, such as files:./documents")
    return Path(rest) if scheme == "files" else None


def _address(url: str) -> Address:
    if url.partition(":")[0] not in SERVERS:
        raise StoreError(f'the store "{url.partition(":")[0][:40]}" is of no known kind', FORMS)
    from portico.db.address import parse

    try:
        return parse(url)
    except ValueError as error:
        raise StoreError(f"the address of the store cannot be used: {error}", FORMS) from None
