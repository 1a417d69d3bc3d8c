"""What a worker reads its documents and keys from: files, or a database with a copy for when it is down."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from portico.config.key import Key
from portico.settings import Settings
from portico.store.last_good import LastGood
from portico.store.open import open_source
from portico.store.records import StoredKey
from portico.store.store import Source


def source_of(settings: Settings, told: Callable[[str], None]) -> Source:
    """`told` hears what is wrong with a database, and "" when nothing is any more."""
    opened = open_source(settings.store)
    return opened if settings.on_files else LastGood(opened, settings.store, settings.copy_file, told)


class StoredKeys:
    """The keys of what the source gave last. They are part of its revision, so they have none of their own."""

    def __init__(self, source: Source) -> None:
        self._source = source

    async def read(self) -> Mapping[str, Sequence[Key]]:
        contents = self._source.contents if isinstance(self._source, LastGood) else None
        found: dict[str, list[Key]] = {}
        for key in contents.keys if contents is not None else ():
            found.setdefault(key.tenant, []).append(as_key(key))
        return found

    async def revision(self) -> str:
        return ""


def as_key(stored: StoredKey) -> Key:
    return Key(
        stored.tenant,
        stored.name,
        stored.hash,
        stored.endpoints,
        stored.tools,
        None if stored.expires is None else stored.expires / 1000,
        stored.revoked is not None,
    )
