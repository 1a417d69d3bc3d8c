"""Memory that is free but kept: gives it back to the machine after a burst of large bodies.

glibc raises, with every large block that is freed, the size up to which blocks come from its heap, and a heap that was
grown by megabytes does not shrink again. Elsewhere than on glibc nothing is done.
"""

from __future__ import annotations

import ctypes
import ctypes.util
from collections.abc import Callable

_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_LARGE = 128 * 1024
_SPARE = 1024 * 1024
"""So much may lie free at the end of the heap. With glibc's 128 KiB, an answer of 75 KiB spends 90 µs on pages that it
gets from the machine and gives back; with this, 6."""


class Memory:
    """Built once for a process, before it serves."""

    def __init__(self) -> None:
        self._trim: Callable[[int], int] | None = None
        name = ctypes.util.find_library("c")
        library = ctypes.CDLL(name) if name is not None else None
        if library is not None and hasattr(library, "malloc_trim"):
            # Set, it stays: larger blocks are the machine's own, and gone when they are freed.
            library.mallopt(_M_MMAP_THRESHOLD, _LARGE)
            library.mallopt(_M_TRIM_THRESHOLD, _SPARE)
            self._trim = library.malloc_trim

    def give_back(self) -> None:
        """To be called in a thread beside the loop: after a burst it takes milliseconds, else hardly any time."""
        if self._trim is not None:
            self._trim(0)
