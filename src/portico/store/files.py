"""FilesStore: documents as *.yaml, *.yml and *.json files directly in one directory.

Symbolic links are followed, also out of the directory: Kubernetes mounts every file as a link through ..data, and the
directory belongs to the operator. Dot files are nobody's documents. Every call that may block runs in a thread.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from portico.store.records import Contents, StoredText
from portico.store.store import MAX_BYTES, StoreError
from portico.store.whole_file import sync_directory, write_whole

MAX_FILES = 10_000
_KEY = re.compile(r"[^./\\\x00-\x1f\x7f][^/\\\x00-\x1f\x7f]{0,199}\.(?:yaml|yml|json)")


class FilesStore:
    """See Source for what the methods promise that a gateway uses."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        _names(directory)

    async def read(self) -> Contents:
        # The revision is asked first: what is read may be newer than it, and is then read once more.
        revision = await self.revision()
        return Contents(revision, tuple(await asyncio.to_thread(_read_all, self.directory)))

    async def revision(self) -> str:
        return await asyncio.to_thread(_revision, self.directory)

    async def put(self, key: str, text: bytes) -> None:
        if len(text) > MAX_BYTES:
            raise StoreError(f"the document {key[:200]!r} is larger than 1 MiB", "Split it into several documents")
        await asyncio.to_thread(_write, self._path(key), text)

    async def delete(self, key: str) -> None:
        await asyncio.to_thread(_delete, self._path(key))

    async def close(self) -> None:
        """Nothing is kept open."""

    def _path(self, key: str) -> Path:
        if not _KEY.fullmatch(key):
            raise StoreError(
                f"{key[:200]!r} cannot be the name of a document's file",
                "Use a plain file name that ends with .yaml, .yml or .json and does not begin with a dot",
            )
        return self.directory / key


def _names(directory: Path) -> list[str]:
    """The names of the documents, sorted."""
    try:
        return sorted(name for name in os.listdir(directory) if _KEY.fullmatch(name))
    except OSError as error:
        raise StoreError(
            f"the directory {directory} cannot be read: {error.strerror}",
            "Create it, let this user read it, or name another one",
        ) from error


def _read_all(directory: Path) -> list[StoredText]:
    names = _names(directory)
    found = [text for name in names[:MAX_FILES] if (text := _read(directory / name)) is not None]
    found += [
        StoredText(name, None, f"the directory holds more than {MAX_FILES} documents") for name in names[MAX_FILES:]
    ]
    return found


def _read(path: Path) -> StoredText | None:
    """The document, or None when the name is a directory or was removed meanwhile."""
    try:
        # Without O_NONBLOCK a named pipe would wait for its writer for ever.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        broken = path.is_symlink()
        return StoredText(path.name, None, "the link leads nowhere") if broken else None
    except OSError as error:
        return StoredText(path.name, None, f"the file cannot be read: {error.strerror}")
    try:
        mode = os.fstat(handle).st_mode
        if stat.S_ISDIR(mode):
            return None
        if not stat.S_ISREG(mode):
            return StoredText(path.name, None, "this is not a file")
        with os.fdopen(handle, "rb", closefd=False) as file:
            text = file.read(MAX_BYTES + 1)
    except OSError as error:
        return StoredText(path.name, None, f"the file cannot be read: {error.strerror}")
    finally:
        os.close(handle)
    if len(text) > MAX_BYTES:
        return StoredText(path.name, None, "the file is larger than 1 MiB")
    return StoredText(path.name, text)


def _revision(directory: Path) -> str:
    digest = hashlib.sha256()
    for line in _stamps(directory):
        digest.update(os.fsencode(line) + b"\n")
    return digest.hexdigest()[:32]


def _stamps(directory: Path) -> Iterator[str]:
    for name in _names(directory):
        try:
            # The target of a link counts: Kubernetes swaps the directory behind it.
            info = os.stat(directory / name)
            yield f"{name} {info.st_dev} {info.st_ino} {info.st_mtime_ns} {info.st_size} {info.st_mode}"
        except OSError as error:
            yield f"{name} {error.errno}"


def _write(path: Path, text: bytes) -> None:
    try:
        write_whole(path, text)
    except OSError as error:
        raise StoreError(
            f"the document {path.name} cannot be written: {error.strerror}", f"Let this user write to {path.parent}"
        ) from error


def _delete(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
        sync_directory(path.parent)
    except OSError as error:
        raise StoreError(
            f"the document {path.name} cannot be removed: {error.strerror}", f"Let this user write to {path.parent}"
        ) from error
