"""What this process uses of its machine. Where there is no /proc, only what can be known without it."""

from __future__ import annotations

import os
import resource
import time
from contextlib import suppress
from pathlib import Path

_STARTED = time.time()


def usage() -> dict[str, float]:
    """By the name of the metric."""
    found = {
        "process_cpu_seconds_total": time.process_time(),
        "process_start_time_seconds": _STARTED,
        "process_max_fds": float(resource.getrlimit(resource.RLIMIT_NOFILE)[0]),
    }
    with suppress(OSError):
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        found["process_resident_memory_bytes"] = float(pages * os.sysconf("SC_PAGE_SIZE"))
        # One of them is the directory that is being listed.
        found["process_open_fds"] = float(len(os.listdir("/proc/self/fd")) - 1)
    return found
