"""signal:PIDFILE: a SIGHUP to the gateway of this machine that holds the file.

A gateway keeps the file locked for as long as it lives. An unlocked one is what a killed gateway left behind, and the
number in it may by now be anybody's: nothing is sent there.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
from pathlib import Path

from portico.notify.notifier import NotifyError


class Hangup:
    """Sends no revision: the signal itself says that it is time to load everything."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.shown = f"signal:{path}"

    async def announce(self, revision: str) -> None:
        await asyncio.to_thread(self._signal, signal.SIGHUP)

    async def reach(self) -> None:
        # Nothing is sent by the number 0: it is only seen whether something could be.
        await asyncio.to_thread(self._signal, 0)

    async def close(self) -> None:
        """Nothing is kept open."""

    def _signal(self, number: int) -> None:
        try:
            with self._path.open("rb") as file:
                text = file.read(32).strip()
                if not _is_locked(file.fileno()):
                    raise NotifyError(f"no gateway runs that holds {self._path}; start it with --pidfile {self._path}")
                if not text.isdigit() or int(text) < 2:
                    raise NotifyError(f"{self._path} holds no process id")
                os.kill(int(text), number)
        except OSError as error:
            raise NotifyError(f"the gateway of {self._path} cannot be signalled: {error.strerror}") from None


def _is_locked(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(handle, fcntl.LOCK_UN)
    return False
