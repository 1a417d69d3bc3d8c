"""LastGood: a store that goes on giving what it gave last while it cannot be read, also after a restart.

The copy lies in a file of the gateway's own that nobody else may read. It is written whenever something new was read,
and read only while the store itself does not answer.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable
from pathlib import Path

import msgspec

from portico.store.records import Contents
from portico.store.store import Source, StoreError
from portico.store.whole_file import PRIVATE, write_whole

log = logging.getLogger("portico.store")

FORM = 1


class Copy(msgspec.Struct):
    """The file. `store` tells copies of different stores apart, and does not give its address away."""

    form: int
    store: str
    contents: Contents


class LastGood:
    """`told` hears what is wrong with the store, and "" when nothing is any more. `path` may be None: then only what
    was read since the start is at hand."""

    def __init__(
        self, source: Source, url: str, path: Path | None, told: Callable[[str], None] = lambda _: None
    ) -> None:
        self.trouble = ""
        self.contents: Contents | None = None
        self._source = source
        self._store = hashlib.sha256(_without_password(url).encode()).hexdigest()
        self._path = path
        self._told = told

    async def revision(self) -> str:
        """Of the store; while it does not answer, of what is given instead. StoreError when there is nothing."""
        try:
            revision = await self._source.revision()
        except StoreError as error:
            return (await self._instead(error)).revision
        if self.trouble:
            self._tell("")
            log.info("The store can be read again.")
        return revision

    async def read(self) -> Contents:
        try:
            contents = await self._source.read()
        except StoreError as error:
            return await self._instead(error)
        if contents != self.contents:
            self.contents = contents
            await asyncio.to_thread(self._write, contents)
        return contents

    async def close(self) -> None:
        await self._source.close()

    async def _instead(self, error: StoreError) -> Contents:
        if self.contents is None:
            self.contents = await asyncio.to_thread(self._copy)
        if self.contents is None:
            raise error
        if not self.trouble:
            log.error("%s What was read last goes on being served, revision %s.", error, self.contents.revision)
        self._tell(error.message)
        return self.contents

    def _tell(self, trouble: str) -> None:
        self.trouble = trouble
        self._told(trouble)

    def _copy(self) -> Contents | None:
        if self._path is None:
            return None
        try:
            copy = msgspec.msgpack.decode(self._path.read_bytes(), type=Copy)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.MsgspecError) as error:
            log.warning("The copy of the store in %s cannot be used: %s", self._path, error)
            return None
        return copy.contents if (copy.form, copy.store) == (FORM, self._store) else None

    def _write(self, contents: Contents) -> None:
        if self._path is None:
            return
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_whole(self._path, msgspec.msgpack.encode(Copy(FORM, self._store, contents)), mode=PRIVATE)
        except OSError as error:
            log.warning(
                "No copy of the store is kept, and without it no gateway starts while the store is down: %s cannot be "
                "written (%s). Name another file with --copy.",
                self._path,
                error.strerror,
            )


def _without_password(url: str) -> str:
    """A store whose password changed is the same store, and from no digest in a file should one be guessed."""
    head, found, rest = url.rpartition("@")
    scheme, _, login = head.partition("://")
    return f"{scheme}://{login.partition(':')[0]}@{rest}" if found else url
