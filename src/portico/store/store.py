"""Store: what every keeper of documents can do. It knows texts and keys, and nothing of what the texts say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class StoreError(Exception):
    """The store as a whole cannot do what was asked. `mend` says what would help."""

    def __init__(self, message: str, mend: str) -> None:
        super().__init__(f"{message}. {mend}.")
        self.message = message
        self.mend = mend


@dataclass(frozen=True, slots=True)
class StoredText:
    """One document as it lies in the store: its text, or why this one cannot be read."""

    key: str
    text: bytes | None
    error: str | None = None


class Store(Protocol):
    """All methods may raise StoreError; trouble with one document stays with that document."""

    async def list(self) -> list[StoredText]:
        """Every document, sorted by key."""
        ...

    async def revision(self) -> str:
        """Differs when anything changed since; cheap enough to ask every second."""
        ...

    async def put(self, key: str, text: bytes) -> None:
        """Write a document so that a reader sees the old text or the new one, whole, even after a power cut."""
        ...

    async def delete(self, key: str) -> None:
        """Remove a document; one that is not there is no error."""
        ...

    async def close(self) -> None: ...
