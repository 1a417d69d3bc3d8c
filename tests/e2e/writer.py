"""A process that writes to documents that others write to as well, and tells on a pipe what it is about to send and
what was acknowledged, so that whoever kills it knows what must be there."""

import asyncio
import random
import time
from dataclasses import dataclass
from itertools import count
from multiprocessing.connection import Connection

from portico.store.open import open_store
from portico.store.records import DEFAULT_TENANT
from portico.store.store import Conflict, Missing, Store

DOCUMENTS = ("a", "b", "c", "d")


@dataclass(frozen=True)
class Told:
    """`version` is None when the entry is about to be sent, 0 when somebody else was faster."""

    document: str
    entry: str
    version: int | None = None
    seconds: float = 0.0


def write(url: str, name: str, pipe: Connection) -> None:
    """Add an entry of its own to one document after the other, for ever."""
    asyncio.run(_write(url, name, pipe))


async def _write(url: str, name: str, pipe: Connection) -> None:
    store = open_store(url)
    for number in count(1):
        document = random.choice(DOCUMENTS)
        while not await _added(store, document, f"{name}-{number}", pipe):
            pass


async def _added(store: Store, document: str, entry: str, pipe: Connection) -> int:
    version, text = await _newest(store, document)
    pipe.send(Told(document, entry))
    began = time.monotonic()
    try:
        done = await store.documents.put(
            DEFAULT_TENANT, document, text + f"# {entry}\n".encode(), expected=version, author=entry, action="apply"
        )
    except Conflict:
        done = 0
    pipe.send(Told(document, entry, done, time.monotonic() - began))
    return done


def head(document: str) -> bytes:
    """What a document is before anybody has added something: a file has to say what it is."""
    return f"name: {document}\n".encode()


async def _newest(store: Store, document: str) -> tuple[int, bytes]:
    try:
        kept = await store.documents.get(DEFAULT_TENANT, document)
    except Missing:
        return 0, head(document)
    return kept.version, kept.text
