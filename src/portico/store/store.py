"""Store: what every keeper of documents can do. It knows texts and who owns them, and nothing of what the texts say.

A gateway reads through Source alone. Whoever writes names the version that the change is made from, so that nobody's
work is lost: `expected` is that version, 0 when there should be none, None to write whatever is there.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Iterable, Mapping
from typing import Protocol

from portico.store.records import (
    Contents,
    Event,
    Kept,
    Owner,
    Replica,
    Row,
    SealedSecret,
    Stamp,
    StoredKey,
    StoredText,
    Version,
)

__all__ = [
    "Audit",
    "Conflict",
    "Contents",
    "Documents",
    "Keys",
    "Missing",
    "Replicas",
    "Rows",
    "SchemaError",
    "Secrets",
    "Source",
    "Store",
    "StoreError",
    "StoredText",
    "Tenants",
    "Unknown",
]

MAX_BYTES = 1024 * 1024
MAX_VERSIONS = 100
MAX_EVENTS = 100_000
MAX_NAME = 63
MAX_KEY_NAME = 255
MAX_NOTE = 1_000
MAX_REPORT = 128 * 1024
MAX_REPLICAS = 1_000


class StoreError(Exception):
    """The store as a whole cannot do what was asked. `mend` says what would help."""

    def __init__(self, message: str, mend: str) -> None:
        super().__init__(f"{message}. {mend}.")
        self.message = message
        self.mend = mend


class SchemaError(StoreError):
    """The tables are not those that this program works with: to wait or to try again does not help."""


class Unknown(StoreError):
    """Whether a change was made cannot be told: the store was lost while it was making it."""


class Missing(StoreError):
    """What was asked for is not there."""


class Conflict(StoreError):
    """Somebody else changed it meanwhile. `current` is the version that is there now, 0 when there is none."""

    def __init__(self, name: str, expected: int, current: int) -> None:
        found = f"version {current} is there now" if current else "it is not there"
        wanted = f"made from version {expected}" if expected else "to make it anew"
        super().__init__(
            f"the document {name} was not changed: the change was {wanted}, and {found}",
            "Look at what is there now and make the change again",
        )
        self.expected = expected
        self.current = current


class Source(Protocol):
    """What a gateway needs of a store. The methods may raise StoreError; trouble with one document stays with it."""

    async def revision(self) -> str:
        """Differs when anything that `read` gives has changed since; cheap enough to ask again and again."""
        ...

    async def read(self) -> Contents:
        """Everything at the revision that it names, or newer than that. Documents are sorted by key."""
        ...

    async def close(self) -> None: ...


class Documents(Protocol):
    """Documents of a tenant and their versions. A change, its version and its audit entry are one transaction."""

    async def list(self, tenant: str) -> list[Kept]:
        """Sorted by name."""
        ...

    async def get(self, tenant: str, name: str) -> Kept:
        """Missing when there is none."""
        ...

    async def put(
        self, tenant: str, name: str, text: bytes, *, expected: int | None, author: str, action: str, note: str = ""
    ) -> int:
        """Write it and say which version it is now. Conflict when `expected` is not the one that is there."""
        ...

    async def delete(self, tenant: str, name: str, *, expected: int | None, author: str, note: str = "") -> int:
        """Remove it; the removal is a version too, so what was there can be brought back."""
        ...

    async def versions(self, tenant: str, name: str) -> list[Version]:
        """The newest first, MAX_VERSIONS of them at most. Missing when nothing of that name was ever kept."""
        ...

    async def text(self, tenant: str, name: str, number: int) -> bytes:
        """What the document said in that version. Missing when it is not kept, or was the document's removal."""
        ...

    async def rollback(
        self, tenant: str, name: str, number: int, *, expected: int | None, author: str, note: str = ""
    ) -> int:
        """Make a new version that says what version `number` said."""
        ...


class Audit(Protocol):
    async def now(self) -> int:
        """The time by the clock that everything in the store is dated with, in milliseconds since 1970."""
        ...

    async def list(self, tenant: str, most: int = 100) -> list[Event]:
        """The newest first."""
        ...


class Tenants(Protocol):
    """Whoever has something is a tenant; one that was made by name may own a prefix."""

    async def list(self) -> list[Owner]:
        """Sorted by name."""
        ...

    async def put(self, name: str, prefix: str, *, author: str, new: bool = False) -> None:
        """Make it by name, or give it another prefix. StoreError when it is to be `new` and is there."""
        ...

    async def delete(self, name: str, *, author: str, force: bool = False) -> None:
        """Remove everything of it but the audit. Missing when there is nothing. StoreError, unless `force`, while it
        has documents, secrets, or keys that were not revoked."""
        ...


class Secrets(Protocol):
    """Sealed secrets: what is sealed, and with which key, is the business of whoever writes."""

    async def list(self, tenant: str | None = None) -> list[SealedSecret]:
        """Of one tenant, or of all."""
        ...

    async def put(self, tenant: str, name: str, sealed: bytes, key_id: str, *, author: str) -> None: ...
    async def reseal(self, before: SealedSecret, sealed: bytes, key_id: str, *, author: str) -> bool:
        """Seal the same anew; False, and nothing is changed, when it is not what `before` says any more."""
        ...

    async def delete(self, tenant: str, name: str, *, author: str) -> None: ...


class Keys(Protocol):
    """API keys, hashed. A revoked key stays in the list, so that it can be seen that it was one."""

    async def list(self, tenant: str | None = None) -> list[StoredKey]: ...
    async def add(self, key: StoredKey, *, author: str) -> None:
        """`created` is the store's to say. StoreError when the name is taken."""
        ...

    async def revoke(self, tenant: str, name: str, *, author: str) -> None: ...
    async def used(self, hashes: Mapping[str, int]) -> None:
        """Note that keys were used, by hash and how many milliseconds ago. It changes no revision."""
        ...


class Replicas(Protocol):
    """What gateways say of themselves. Reports change no revision."""

    async def report(self, id: str, report: bytes) -> None: ...
    async def list(self) -> list[Replica]:
        """Sorted by id; of more than MAX_REPLICAS those that reported last."""
        ...

    async def forget(self, ids: Collection[str]) -> None: ...
    async def clear(self, older: int) -> None:
        """Remove reports that are older than so many milliseconds, and what is beyond MAX_REPLICAS."""
        ...


class Rows(Protocol):
    """Everything that a store keeps, of all tenants, to be carried into another one. Reports of replicas stay where
    they are."""

    def read(self) -> AsyncGenerator[Stamp | Row]:
        """The stamp first, and then the rows, all of one moment."""
        ...

    async def restore(self, stamp: Stamp, rows: Iterable[Row], *, replace: bool, author: str) -> None:
        """Write them all or none, as a new revision. StoreError when the store keeps something already, which
        `replace` removes. What `rows` raises is raised, and then nothing is changed."""
        ...


class Store(Source, Protocol):
    @property
    def documents(self) -> Documents: ...
    @property
    def audit(self) -> Audit: ...
    @property
    def tenants(self) -> Tenants: ...
    @property
    def secrets(self) -> Secrets: ...
    @property
    def keys(self) -> Keys: ...
    @property
    def replicas(self) -> Replicas: ...
    @property
    def rows(self) -> Rows: ...
