"""What lies in a store, as values. Times are milliseconds since 1970, by the clock of the store and no other."""

from __future__ import annotations

from dataclasses import dataclass

DEFAULT_TENANT = "default"


@dataclass(frozen=True, slots=True)
class StoredText:
    """One document as a gateway reads it: its text, or why this one cannot be read.

    `key` names it in problems. `tenant` and `name` say whose it is where the store knows that by itself; in a files
    store only the text knows it, and they are None.
    """

    key: str
    text: bytes | None
    error: str | None = None
    tenant: str | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Kept:
    """A document as its writer sees it. `version` is the newest one, which a change has to name."""

    tenant: str
    name: str
    version: int
    text: bytes
    at: int
    author: str


@dataclass(frozen=True, slots=True)
class Version:
    """One state that a document had. `digest` is the SHA-256 of its text; a deletion has neither text nor digest."""

    number: int
    author: str
    action: str
    note: str
    at: int
    digest: str
    size: int


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the audit: who did what to which thing of a tenant, and when."""

    at: int
    tenant: str
    author: str
    action: str
    kind: str
    name: str
    version: int | None
    note: str


@dataclass(frozen=True, slots=True)
class Tenant:
    """`prefix` is what all routers of its documents begin with, empty when it owns none."""

    name: str
    prefix: str
    created: int


@dataclass(frozen=True, slots=True)
class Owner:
    """A tenant and how much it has: documents, secrets, and keys that were not revoked. One that was never made by name
    is known by what it has; it owns no prefix, and `created` is None."""

    name: str
    prefix: str = ""
    created: int | None = None
    documents: int = 0
    secrets: int = 0
    keys: int = 0


@dataclass(frozen=True, slots=True)
class SealedSecret:
    """A secret as it lies in the store: nobody reads it without the key that `key_id` names."""

    tenant: str
    name: str
    sealed: bytes
    key_id: str
    updated: int


@dataclass(frozen=True, slots=True)
class StoredKey:
    """An API key without the key: `hash` is its SHA-256 in hexadecimal digits. Empty scopes mean everything."""

    tenant: str
    name: str
    hash: str
    last_four: str
    endpoints: tuple[str, ...]
    tools: tuple[str, ...]
    created: int
    expires: int | None = None
    revoked: int | None = None
    last_used: int | None = None


@dataclass(frozen=True, slots=True)
class Replica:
    """What a gateway reported last, and how many milliseconds ago by the store's clock."""

    id: str
    report: bytes
    age: int


@dataclass(frozen=True, slots=True)
class Contents:
    """All that a gateway reads."""

    revision: str
    documents: tuple[StoredText, ...]
    secrets: tuple[SealedSecret, ...] = ()
    keys: tuple[StoredKey, ...] = ()
    tenants: tuple[Tenant, ...] = ()


@dataclass(frozen=True, slots=True)
class Stamp:
    """Of what a backup is: the schema and the revision of the store, and when it was read."""

    schema: int
    revision: int
    at: int


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that a store keeps, as it lies there: the name of its table without what all have in front."""

    table: str
    values: dict[str, int | str | bytes | None]
