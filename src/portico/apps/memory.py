"""Memory that is free but kept: gives it back to the machine after a burst of large bodies.

glibc raises, with every large block that is freed, the size up to which blocks come from its heap, and a heap that was
grown by megabytes does not shrink again. Elsewhere than on glibc nothing is done.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import os
from collections.abc import Callable
from pathlib import Path

_STATM = Path("/proc/self/statm")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_M_MMAP_THRESHOLD = -3
_LARGE = 128 * 1024
_MUCH = 0.05


class Memory:
    """Built once for a process, before it serves."""

    def __init__(self) -> None:
        self._trim: Callable[[int], int] | None = None
        self._left = 0
        self._paid = False
        name = ctypes.util.find_library("c")
        library = ctypes.CDLL(name) if name is not None and _STATM.exists() else None
        if library is not None and hasattr(library, "malloc_trim"):
            # Set, it stays: larger blocks are the machine's own, and gone when they are freed.
            library.mallopt(_M_MMAP_THRESHOLD, _LARGE)
            self._trim = library.malloc_trim

    @property
    def has_changed(self) -> bool:
        """Whether much more or less is resident than after the last time, or that time was worth its while."""
        if self._trim is None:
            return False
        return self._paid or abs(_resident() - self._left) > self._left * _MUCH

    def give_back(self) -> None:
        """To be called in a thread beside the loop: it takes milliseconds, and leaves the interpreter free."""
        if self._trim is not None:
            before = _resident()
            self._trim(0)
            self._left = _resident()
            self._paid = before - self._left > before * _MUCH


def _resident() -> int:
    return int(_STATM.read_text().split()[1]) * _PAGE
