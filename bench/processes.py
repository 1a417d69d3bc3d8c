"""Started processes: pinned to cores, ended with the bench whatever happens to it, and what they cost."""

from __future__ import annotations

import ctypes
import os
import random
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
PATIENCE = 15
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


class Process:
    """A program on `cores`. It and its children are one tree, whose cost is counted together, but for those whose
    command line holds the word `apart`."""

    def __init__(self, command: list[str], cores: str, output: Path, apart: str = "") -> None:
        self._output = output
        self._apart = apart.encode()
        with output.open("wb") as sink, output.with_suffix(".err").open("wb") as errors:
            self._process = subprocess.Popen(
                ["taskset", "-c", cores, *command], stdout=sink, stderr=errors, preexec_fn=_end_with_parent
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def check(self) -> None:
        """RuntimeError with its last words when it has ended."""
        code = self._process.poll()
        if code is not None:
            words = self._output.with_suffix(".err").read_text(errors="replace")[-2000:]
            raise RuntimeError(f"{self._process.args} ended with {code}:\n{words}")

    def cpu(self) -> float:
        """Seconds of CPU that the tree has used."""
        return sum(int(fields[11]) + int(fields[12]) for fields in map(_stat, self._tree())) / TICKS

    def waited(self) -> float:
        """Seconds in which a process of the tree could have run, but the core was another's."""
        return sum(int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) for pid in self._tree()) / 1e9

    def memory(self) -> int:
        """Resident bytes of the tree."""
        return sum(int(fields[21]) for fields in map(_stat, self._tree())) * PAGE

    def wait(self, seconds: float) -> None:
        """Wait for its own end, or subprocess.TimeoutExpired."""
        self._process.wait(seconds)

    def end(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _tree(self) -> list[int]:
        pids = [self.pid]
        for pid in pids:
            pids.extend(child for child in _children(pid) if not self._is_apart(child))
        return pids

    def _is_apart(self, pid: int) -> bool:
        return bool(self._apart) and self._apart in Path(f"/proc/{pid}/cmdline").read_bytes()


def free_port() -> int:
    """A port that nothing uses, below those that the kernel gives to outgoing connections."""
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def _children(pid: int) -> Iterator[int]:
    for task in Path(f"/proc/{pid}/task").iterdir():
        yield from map(int, (task / "children").read_text().split())


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the third on; the second one may contain spaces."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()


def _end_with_parent() -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
