"""A file that is there whole or not at all: a reader sees the one before or this one, also after a power cut."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

PRIVATE = 0o600


def write_whole(path: Path, data: bytes, *, mode: int | None = None, new: bool = False) -> None:
    """Write a file at once, as `writing_whole` does."""
    with writing_whole(path, mode=mode, new=new) as file:
        file.write(data)


@contextmanager
def writing_whole(path: Path, *, mode: int | None = None, new: bool = False) -> Iterator[BinaryIO]:
    """A file to write, for its owner alone with `mode=PRIVATE`; without a mode with the rights of the file that was
    there. It is there when the block ends well.

    A `new` file does not take the place of another: FileExistsError. OSError for whatever else goes wrong; nothing is
    left behind then.
    """
    temporary = path.with_name(f".{path.name[:200]}.{secrets.token_hex(8)}.tmp")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        with open(os.open(temporary, flags, 0o666 if mode is None else mode), "wb") as file:
            if mode is None and path.exists():
                os.fchmod(file.fileno(), stat.S_IMODE(path.stat().st_mode))
            yield file
            file.flush()
            os.fsync(file.fileno())
        if new:
            os.link(temporary, path)
        else:
            os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_directory(path.parent)


def sync_directory(directory: Path) -> None:
    """What was renamed or removed in it is so after a power cut too."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
