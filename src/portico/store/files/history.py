"""What a directory of documents keeps besides them: a database of its own, made by the first command that needs it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from portico.db.address import Address, parse
from portico.store.files.directory import BESIDE
from portico.store.sql.database import Database
from portico.store.sql.migrate import migrate
from portico.store.store import StoreError


def address_of(directory: Path) -> Address:
    return parse(f"sqlite:{directory / BESIDE}")


class History(Database):
    """The database of a directory, for writers: it is made when it is not there."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        super().__init__(address_of(directory), self._make)

    async def _make(self) -> None:
        if not (self._directory / BESIDE).exists():
            await make(self._directory)


async def make(directory: Path) -> None:
    """Make it, or bring it to this program's schema. Raises StoreError when that cannot be done."""
    try:
        _make_folder(directory / BESIDE.parent)
        await migrate(address_of(directory))
        _hand_over(directory, (directory / BESIDE.parent, directory / BESIDE))
    except OSError as error:
        raise StoreError(
            f"{directory / BESIDE}, where versions, keys and secrets lie, cannot be made: {error.strerror}",
            f"Let this user write to {directory}",
        ) from error


def _make_folder(folder: Path) -> None:
    """For its owner alone, and nothing that git should take for documents."""
    folder.mkdir(mode=0o700, exist_ok=True)
    (folder / ".gitignore").write_text("*\n")


def _hand_over(directory: Path, made: Iterable[Path]) -> None:
    """What root makes has to be read by the gateway, which runs as whoever owns the documents."""
    if os.geteuid() == 0:
        owner = directory.stat()
        for path in made:
            os.chown(path, owner.st_uid, owner.st_gid)
