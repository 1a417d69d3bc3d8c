"""Stands between the gateway and one stdio server, so that nothing of it outlives the gateway, however that ends.

Run as `python -I -S guardian.py FD COMMAND ARG…`: it needs nothing but the standard library. It adopts what the server
leaves behind (it is the subreaper of its tree), and ends the tree when the server exits, when the gateway says so on
the socket FD (`T` for SIGTERM, `K` for SIGKILL), and when that socket closes because the gateway is gone.
On the socket it tells how the server ended: `exit N`, `signal N`, or `exec ERRNO` where it never began.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import sys
import time

_SET_PDEATHSIG = 1
_SET_CHILD_SUBREAPER = 36
_TERM_SECONDS = 0.5
_KILL_SECONDS = 10.0


def main() -> None:
    control = int(sys.argv[1])
    os.set_inheritable(control, False)
    # Event loops leave copies of the pipes behind, which would keep them open when the server closes its own.
    os.closerange(3, control)
    os.closerange(control + 1, os.sysconf("SC_OPEN_MAX"))
    _prctl(_SET_CHILD_SUBREAPER, 1)
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    os.set_blocking(woken, False)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    server = _start(sys.argv[2:], control)
    # The pipes belong to the server alone: their other ends must see it close them.
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)
    _watch(server, control, woken)
    _end()


def _start(command: list[str], control: int) -> int:
    server = os.fork()
    if server:
        return server
    try:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL)
        os.setsid()
        _prctl(_SET_PDEATHSIG, signal.SIGKILL)
        os.execvp(command[0], command)
    except OSError as error:
        os.write(control, b"exec %d\n" % (error.errno or 0))
    finally:
        os._exit(127)


def _watch(server: int, control: int, woken: int) -> None:
    """Until the server has ended, or the gateway has."""
    while True:
        ready, _, _ = select.select([control, woken], [], [])
        if woken in ready:
            numbers = os.read(woken, 64)
            if any(number != signal.SIGCHLD for number in numbers):
                return
            status = _reap(server)
            if status is not None:
                _tell(control, status)
                return
        if control in ready:
            try:
                orders = os.read(control, 64)
            except OSError:
                return
            if not orders:
                return
            for order in orders:
                _signal_all(signal.SIGTERM if order == ord("T") else signal.SIGKILL)


def _reap(server: int) -> int | None:
    """Bury whoever has died; the status of the server if it is among them."""
    found = None
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == server:
                found = status
            if not pid:
                break
    return found


def _tell(control: int, status: int) -> None:
    signalled = os.WIFSIGNALED(status)
    text = b"signal %d\n" % os.WTERMSIG(status) if signalled else b"exit %d\n" % os.WEXITSTATUS(status)
    with contextlib.suppress(OSError):
        os.write(control, text)


def _end() -> None:
    """Everybody who is left is asked to go, and soon made to."""
    began = time.monotonic()
    last_asked = 0
    while time.monotonic() - began < _KILL_SECONDS:
        _reap(0)
        left = _descendants()
        if not left:
            return
        if time.monotonic() - began >= _TERM_SECONDS:
            _signal_all(signal.SIGKILL)
        elif len(left) != last_asked:
            last_asked = len(left)
            _signal_all(signal.SIGTERM)
        time.sleep(0.01)


def _signal_all(number: int) -> None:
    for pid in _descendants():
        with contextlib.suppress(OSError):
            os.kill(pid, number)


def _descendants() -> list[int]:
    """Everybody below us. Who called setsid, or lost a parent, is still here: orphans of the tree come to us."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError), open(f"/proc/{name}/stat", "rb") as stat:
                fields = stat.read().rpartition(b")")[2].split()
                children.setdefault(int(fields[1]), []).append(int(name))
    found: list[int] = []
    unseen = [os.getpid()]
    while unseen:
        below = children.get(unseen.pop(), [])
        found += below
        unseen += below
    return found


def _prctl(option: int, value: int) -> None:
    ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


if __name__ == "__main__":
    main()
