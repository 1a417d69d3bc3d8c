"""From a URL to a Store: the one list of the kinds of store that are built."""

from __future__ import annotations

from pathlib import Path

from portico.store.files import FilesStore
from portico.store.store import Store, StoreError


def open_store(url: str) -> Store:
    """`files:DIR`. Raises StoreError for anything else, and when the directory is not there."""
    scheme, found, rest = url.partition(":")
    if not found or scheme != "files":
        raise StoreError(f'the store "{url[:200]}" is of no known kind', "Write files:DIR, the only kind that is built")
    if not rest:
        raise StoreError("the store files: names no directory", "Write files:DIR, such as files:./documents")
    return FilesStore(Path(rest))
