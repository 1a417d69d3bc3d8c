"""The machine: which cores serve and which make load, and what it and its programs are called."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Cores:
    """The proxy or gateway alone on `server`; the upstream service and wrk on `upstream` and `load`."""

    server: str
    two_servers: str | None
    upstream: str
    load: str

    @property
    def meaningful(self) -> bool:
        return self.server != self.load


def share_out() -> Cores:
    """One core serves and another one loads; a third keeps upstream and wrk apart; four allow two workers."""
    cores = [str(core) for core in sorted(os.sched_getaffinity(0))]
    first, last = cores[0], cores[-1]
    two = f"{cores[0]},{cores[1]}" if len(cores) >= 4 else None
    return Cores(first, two, cores[-2] if len(cores) >= 3 else last, last)


def describe() -> dict[str, str]:
    """What the figures belong to."""
    return {
        "cpu": _cpu(),
        "cores": str(os.cpu_count()),
        "kernel": platform.release(),
        "python": _python(),
        "portico": commit(),
        "nginx": _said("nginx", "-v").rpartition("/")[2],
        "wrk": _said("wrk", "-v").split()[1],
        **{name: version(name) for name in ("uvicorn", "uvloop", "httptools", "fastmcp")},
    }


def commit() -> str:
    """The commit that is measured, marked when the source differs from it."""
    short = _said("git", "-C", str(ROOT), "rev-parse", "--short", "HEAD") or "unknown"
    changed = _said("git", "-C", str(ROOT), "status", "--porcelain", "--", "src")
    return f"{short}-changed" if changed else short


def _python() -> str:
    """The interpreter, and whether it is the system's own: distributions build theirs for speed."""
    own = Path(sys.executable).resolve().parent == Path("/usr/bin")
    return f"{platform.python_version()} ({'of the system' if own else 'not of the system'})"


def _cpu() -> str:
    found = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else platform.machine()


def _said(*command: str) -> str:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return done.stdout.strip().partition("\n")[0] if command[0] != "git" else done.stdout.strip()
