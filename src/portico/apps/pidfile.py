"""The file of `--pidfile`: the process id, locked for as long as the process lives, so that nobody signals another."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def pidfile(path: str) -> Iterator[None]:
    """Hold the file; without a path, nothing. OSError when it cannot be written or another process holds it.

    The file stays, empty, when the process ends: to remove it would race with one that is starting.
    """
    if not path:
        yield
        return
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise OSError(f"the file of --pidfile, {path}, cannot be written: {error.strerror}") from None
    with os.fdopen(handle, "r+b", buffering=0) as file:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = Path(path).read_text().strip() or "another"
            raise OSError(f"the file of --pidfile, {path}, is held by process {holder}, which still runs") from None
        file.truncate(0)
        file.write(b"%d\n" % os.getpid())
        try:
            yield
        finally:
            file.truncate(0)
