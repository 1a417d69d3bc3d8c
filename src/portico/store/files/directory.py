"""A directory of documents: *.yaml, *.yml and *.json files directly in it. All of this blocks.

Symbolic links are followed, also out of the directory: Kubernetes mounts every file as a link through ..data, and the
directory belongs to the operator. Dot files are nobody's documents.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from portico.store.records import StoredText
from portico.store.store import MAX_BYTES, StoreError
from portico.store.whole_file import sync_directory, write_whole

MAX_FILES = 10_000
BESIDE = Path(".portico", "store.db")
"""Where what is kept besides documents lies: versions, keys, secrets, the audit."""
_KEY = re.compile(r"[^./\\\x00-\x1f\x7f][^/\\\x00-\x1f\x7f]{0,199}\.(?:yaml|yml|json)")


def names(directory: Path) -> list[str]:
    """The names of the documents, sorted."""
    try:
        return sorted(name for name in os.listdir(directory) if _KEY.fullmatch(name))
    except OSError as error:
        raise StoreError(
            f"the directory {directory} cannot be read: {error.strerror}",
            "Create it, let this user read it, or name another one",
        ) from error


def read_all(directory: Path) -> list[StoredText]:
    """Every document, sorted by the name of its file, which is its key."""
    keys = names(directory)
    found = [text for key in keys[:MAX_FILES] if (text := _read(directory / key)) is not None]
    found += [StoredText(key, None, f"the directory holds more than {MAX_FILES} documents") for key in keys[MAX_FILES:]]
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


def stamp(directory: Path) -> str:
    """Differs when a file was changed, added or removed."""
    digest = hashlib.sha256()
    for line in _stamps(directory):
        digest.update(os.fsencode(line) + b"\n")
    return digest.hexdigest()[:32]


def _stamps(directory: Path) -> Iterator[str]:
    for name in names(directory):
        try:
            # The target of a link counts: Kubernetes swaps the directory behind it.
            info = os.stat(directory / name)
            yield f"{name} {info.st_dev} {info.st_ino} {info.st_mtime_ns} {info.st_size} {info.st_mode}"
        except OSError as error:
            yield f"{name} {error.errno}"


def write(path: Path, text: bytes) -> None:
    """A link stays one: what it leads to is written."""
    try:
        write_whole(path.resolve(), text)
    except OSError as error:
        raise StoreError(
            f"the document {path.name} cannot be written: {error.strerror}", f"Let this user write to {path.parent}"
        ) from error


def remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
        sync_directory(path.parent)
    except OSError as error:
        raise StoreError(
            f"the document {path.name} cannot be removed: {error.strerror}", f"Let this user write to {path.parent}"
        ) from error
