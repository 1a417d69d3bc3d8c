"""Key: what an API key may be used for, under its hash. Documents and stores both speak of keys in this form.

A key is `pk_` and 256 random bits. With so many of them nobody guesses a key from its hash, so one SHA-256 is enough,
and to compare hashes takes no care with time: who does not have the key cannot choose what its hash will be.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass

PREFIX = "pk_"
HASH = r"^[0-9a-f]{64}$"
_KEY = re.compile(r"pk_[A-Za-z0-9_-]{43}")


@dataclass(frozen=True, slots=True)
class Key:
    """`hash` is in hexadecimal digits. `endpoints` and `tools` are patterns (see patterns.py) of prefixes and names;
    empty, they mean all of the tenant's. `expires` is in seconds since 1970."""

    tenant: str
    name: str
    hash: str
    endpoints: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    expires: float | None = None
    revoked: bool = False


def new_key() -> str:
    return PREFIX + secrets.token_urlsafe(32)


def is_key(text: str) -> bool:
    """Whether the text has the form of a key: what people make up themselves is guessed too easily."""
    return _KEY.fullmatch(text) is not None


def key_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
