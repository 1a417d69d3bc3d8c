"""What a worker reads its documents, keys and secrets from: files, or a database with a copy for when it is down."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from portico.config.key import Key
from portico.settings import Settings
from portico.store.last_good import LastGood
from portico.store.open import open_files, open_store
from portico.store.records import Contents, SealedSecret, StoredKey
from portico.store.sealing import Unsealable, read_keys
from portico.store.secrets import SecretFiles, Secrets
from portico.store.store import Replicas, Source, StoreError

log = logging.getLogger("portico.secrets")


class Remembering(Source, Protocol):
    """A source that knows what it gave last."""

    @property
    def contents(self) -> Contents | None: ...


@dataclass(frozen=True, slots=True)
class Place:
    """Where a worker reads from, and whom it tells: of itself where the store keeps reports, and of the use of keys."""

    source: Remembering
    replicas: Replicas | None
    tell_use: Callable[[Mapping[str, int]], Awaitable[None]]


def place_of(settings: Settings, told: Callable[[str], None]) -> Place:
    """`told` hears what is wrong with a database, and "" when nothing is any more."""
    if settings.on_files:
        files = open_files(settings.store)
        return Place(files, None, files.used)
    store = open_store(settings.store)
    return Place(LastGood(store, settings.store, settings.copy_file, told), store.replicas, store.keys.used)


class StoredSecrets:
    """Secrets of files and the environment, and the sealed ones of what the source gave last. Where both have one of
    the same name, the file or the environment wins: it is what the gateway's own operator says.

    `told` hears which cannot be opened, and "" when all can. What was open once stays so while it is the same.
    """

    def __init__(
        self, files: SecretFiles, source: Remembering, key_file: Path | None, told: Callable[[str], None]
    ) -> None:
        self._files = files
        self._source = source
        self._key_file = key_file
        self._told = told
        self._opened: dict[SealedSecret, str] = {}
        self._complaint = ""

    async def read(self) -> Secrets:
        own = await self._files.read()
        contents = self._source.contents
        sealed = contents.secrets if contents is not None else ()
        trouble: dict[str, str] = {}
        if any(secret not in self._opened for secret in sealed):
            opened, trouble = await asyncio.to_thread(open_secrets, self._key_file, sealed)
            self._opened |= opened
        self._opened = {secret: self._opened[secret] for secret in sealed if secret in self._opened}
        self._complain({name: why for name, why in trouble.items() if name not in _names(self._opened)})
        found: dict[str, dict[str, str]] = {}
        for secret, value in self._opened.items():
            found.setdefault(secret.tenant, {})[secret.name] = value
        for tenant, values in own.items():
            found.setdefault(tenant, {}).update(values)
        return found

    async def revision(self) -> str:
        """A key file that was mended opens what could not be opened, so while something cannot it counts too."""
        own = await self._files.revision()
        return own + await asyncio.to_thread(self._key_file_now) if self._complaint else own

    def _key_file_now(self) -> str:
        if self._key_file is None:
            return ""
        try:
            stat = self._key_file.stat()
        except OSError:
            return ""
        return f"-{stat.st_ino}-{stat.st_mtime_ns}-{stat.st_mode}"

    def _complain(self, trouble: dict[str, str]) -> None:
        lines = [f"The secret {name} cannot be opened: {why}." for name, why in sorted(trouble.items())]
        complaint = " ".join(lines[:3]) + (f" And {len(lines) - 3} more." if len(lines) > 3 else "")
        if complaint != self._complaint:
            self._complaint = complaint
            self._told(complaint)
            if complaint:
                log.error("%s Documents that need them have calls that fail; see docs/stores.md.", complaint)


def open_secrets(
    key_file: Path | None, sealed: Iterable[SealedSecret]
) -> tuple[dict[SealedSecret, str], dict[str, str]]:
    """What could be opened, and why the others, by tenant and name, could not."""
    try:
        ring = read_keys(key_file) if key_file is not None else None
        why = f"there is no key file {key_file or ''}".rstrip() + ", which --key-file names"
    except StoreError as error:
        ring, why = None, error.message
    opened: dict[SealedSecret, str] = {}
    trouble: dict[str, str] = {}
    for secret in sealed:
        try:
            if ring is None:
                raise Unsealable(why)
            opened[secret] = ring.open(secret)
        except Unsealable as error:
            trouble[f"{secret.tenant}/{secret.name}"] = str(error)
    return opened, trouble


def _names(secrets: Iterable[SealedSecret]) -> set[str]:
    return {f"{secret.tenant}/{secret.name}" for secret in secrets}


class StoredKeys:
    """The keys of what the source gave last. They are part of its revision, so they have none of their own."""

    def __init__(self, source: Remembering) -> None:
        self._source = source

    async def read(self) -> Mapping[str, Sequence[Key]]:
        contents = self._source.contents
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
