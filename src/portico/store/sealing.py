"""Sealed secrets: what lies in a store cannot be read without the key file, nor passed off as another secret.

The key file has a line for each key, `portico-key ID BASE64`, and the first one seals. Each sealed text is AES-256-GCM
with a nonce of its own, bound to the tenant and the name that it lies under and to the key that it was sealed with.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import secrets
import stat
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from portico.store.records import SealedSecret
from portico.store.store import StoreError
from portico.store.whole_file import PRIVATE, write_whole

FORM = b"\x01"
MOST_KEYS = 100
_MOST_FILE = 64 * 1024
_NONCE = 12
_LINE = re.compile(r"portico-key ([0-9a-f]{16}) ([A-Za-z0-9+/]{43}=)")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")


class Unsealable(Exception):
    """A secret that cannot be opened; the message says why, and nothing of what it is."""


@dataclass(frozen=True, slots=True)
class SealingKey:
    id: str
    key: bytes = field(repr=False)

    @classmethod
    def new(cls) -> SealingKey:
        return cls.of(secrets.token_bytes(32))

    @classmethod
    def of(cls, key: bytes) -> SealingKey:
        """The id is a digest, so that keys of the same id are the same."""
        return cls(hashlib.sha256(b"portico key id" + key).hexdigest()[:16], key)

    def cipher(self) -> Any:
        # Whoever has no sealed secret should not wait for the library.
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        return AESGCM(self.key)


@dataclass(frozen=True, slots=True)
class KeyRing:
    """The keys of a file, the one that seals first. `file` is named in what is said."""

    file: Path
    keys: tuple[SealingKey, ...]

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(key.id for key in self.keys)

    def seal(self, tenant: str, name: str, value: str) -> tuple[bytes, str]:
        """The sealed text and the id of its key."""
        key = self.keys[0]
        nonce = os.urandom(_NONCE)
        return FORM + nonce + key.cipher().encrypt(nonce, value.encode(), _bound(tenant, name, key.id)), key.id

    def open(self, secret: SealedSecret) -> str:
        """What was sealed, or Unsealable."""
        from cryptography.exceptions import InvalidTag

        key = next((key for key in self.keys if key.id == secret.key_id), None)
        if key is None:
            raise Unsealable(f"it was sealed with the key {secret.key_id[:16]!r}, which is not in {self.file}")
        if secret.sealed[:1] != FORM or len(secret.sealed) <= _NONCE:
            raise Unsealable("what lies in the store is nothing that this program sealed")
        nonce, text = secret.sealed[1 : 1 + _NONCE], secret.sealed[1 + _NONCE :]
        try:
            return key.cipher().decrypt(nonce, text, _bound(secret.tenant, secret.name, key.id)).decode()
        except (InvalidTag, UnicodeDecodeError):
            raise Unsealable("what lies in the store was changed, or was sealed as another secret") from None

    def with_new(self) -> KeyRing:
        if len(self.keys) >= MOST_KEYS:
            raise StoreError(
                f"{self.file} has {MOST_KEYS} keys already",
                "portico secret rekey --drop removes those that seal nothing",
            )
        return KeyRing(self.file, (SealingKey.new(), *self.keys))

    def keeping(self, ids: Collection[str]) -> KeyRing:
        """Without the keys that are not among `ids`; the first stays in any case."""
        return KeyRing(self.file, tuple(key for key in self.keys if key.id in ids or key is self.keys[0]))


def judge_secret_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise StoreError(
            f"{name[:100]!r} cannot be the name of a secret",
            "Use letters, digits and underscores, 63 at most and no digit first, as {{ secrets.NAME }} has it",
        )


def read_keys(file: Path) -> KeyRing | None:
    """None when there is no file. StoreError for one that others may read, or that holds anything but keys."""
    try:
        with open(file, "rb") as opened:
            mode = os.fstat(opened.fileno()).st_mode
            data = opened.read(_MOST_FILE)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreError(f"the key file {file} cannot be read: {error.strerror}", "Let this user read it") from None
    if mode & (stat.S_IRWXO | stat.S_IWGRP | stat.S_IXGRP):
        raise StoreError(
            f"the key file {file} may be read by others, or written by its group (mode {stat.S_IMODE(mode):o})",
            f"chmod 600 {file}; and if somebody may have read it, portico secret rekey and new secrets",
        )
    return KeyRing(file, tuple(_keys(file, data)))


def _keys(file: Path, data: bytes) -> Sequence[SealingKey]:
    found: list[SealingKey] = []
    for number, line in enumerate(data.decode("ascii", "replace").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        read = _LINE.fullmatch(line.strip())
        key = SealingKey.of(base64.b64decode(read[2])) if read else None
        if read is None or key is None or key.id != read[1]:
            # Not what the line says: it may be most of a key.
            raise StoreError(
                f"line {number} of the key file {file} is no key", "Bring the file from where it was made, whole"
            )
        found.append(key)
    if not found or len(found) > MOST_KEYS:
        raise StoreError(f"the key file {file} has {len(found)} keys", f"Bring one with 1 to {MOST_KEYS} keys")
    return found


def new_keys(file: Path) -> KeyRing:
    """A ring of one new key that is not written yet."""
    return KeyRing(file, (SealingKey.new(),))


def write_keys(ring: KeyRing, *, new: bool = False) -> None:
    """Whole or not at all, for the owner alone. A `new` file does not take the place of another."""
    lines = ["# Keys of Portico's sealed secrets; the first one seals. Keep a copy: nothing else opens them."]
    lines += [f"portico-key {key.id} {base64.b64encode(key.key).decode()}" for key in ring.keys]
    try:
        ring.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_whole(ring.file, ("\n".join(lines) + "\n").encode(), mode=PRIVATE, new=new)
    except FileExistsError:
        raise StoreError(f"somebody made {ring.file} meanwhile", "Do it again, with that file") from None
    except OSError as error:
        raise StoreError(f"the key file {ring.file} cannot be written: {error.strerror}", "Name another one") from None


def _bound(tenant: str, name: str, key_id: str) -> bytes:
    return "\0".join(("portico secret", tenant, name, key_id)).encode()
