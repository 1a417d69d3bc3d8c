"""A process that speaks in lines on its standard streams, together with everything that it starts, under a guardian.

Stopping it: its input is closed, after 2 s its tree gets SIGTERM, after 3 more SIGKILL. A line has at most 4 MiB; of a
longer one only the ends are kept.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from portico.net.errors import Busy, Unreachable
from portico.net.outbox import LARGE, MOST

LONGEST_LINE = 4 * 1024 * 1024
MOST_UNWRITTEN = 16 * 1024 * 1024
CLOSE_SECONDS = 2.0
TERM_SECONDS = 3.0
KILL_SECONDS = 3.0
TAIL_LINES = 10
ENDS = 256
_GUARDIAN = str(Path(__file__).with_name("guardian.py"))


class Listener(Protocol):
    """Who reads what a process writes."""

    def line(self, text: bytes) -> None: ...

    def too_long(self, head: bytes, tail: bytes) -> None: ...

    def error_line(self, text: str) -> None: ...

    def ended(self, reason: str) -> None:
        """It is gone, or as good as gone. Told once, and not after `stop`."""
        ...


class Process(asyncio.SubprocessProtocol):
    """Its own session, a clean environment, no shell."""

    def __init__(self, listener: Listener) -> None:
        self.listener = listener
        self.tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._loop = asyncio.get_running_loop()
        self._output = _Lines(self._line, self._too_long, LONGEST_LINE)
        self._errors = _Lines(self._error_line, lambda head, tail: self._error_line(head), 64 * 1024)
        self._control: socket.socket | None = None
        self._transport: Any = None
        self._input: Any = None
        self._unsaid: list[bytes] = []
        self._reason: str | None = None
        self._is_over = False
        self._gone: asyncio.Future[None] = self._loop.create_future()

    async def start(self, command: Sequence[str], env: Mapping[str, str], cwd: str | None) -> None:
        """Raises Unreachable where there is no process to be had."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        self._control = ours
        try:
            self._transport, _ = await self._loop.subprocess_exec(
                lambda: self,
                *(sys.executable, "-I", "-S", _GUARDIAN, str(theirs.fileno()), *command),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=dict(env),
                cwd=cwd,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            self._control = None
            ours.close()
            self._gone.set_result(None)
            where = f" in {cwd}" if cwd else ""
            raise Unreachable(f"it cannot be started{where}: {error}") from error
        finally:
            theirs.close()
        self._input = self._transport.get_pipe_transport(0)
        self._loop.add_reader(ours.fileno(), self._told)

    def write(self, line: bytes) -> None:
        """Lines of one turn of the loop leave together: to wake the process costs as much as all else of a write."""
        if self._is_over or self._input is None or self._input.is_closing():
            raise Unreachable("its input is closed")
        if self._input.get_write_buffer_size() > MOST_UNWRITTEN:
            raise Busy("it does not read what it is sent")
        if not self._unsaid:
            self._loop.call_soon(self._say)
        self._unsaid.append(line)
        if len(self._unsaid) >= MOST or len(line) >= LARGE:
            self._say()

    async def stop(self) -> None:
        """Returns when nothing of it is left."""
        self._is_over = True
        if self._input is not None:
            self._say()
            self._input.close()
        for seconds, order in ((CLOSE_SECONDS, b"T"), (TERM_SECONDS, b"K"), (KILL_SECONDS, b"")):
            await asyncio.wait([self._gone], timeout=seconds)
            if self._gone.done():
                break
            if order and self._control is not None:
                try:
                    self._control.send(order)
                except OSError:
                    break
        if not self._gone.done() and self._transport is not None:
            self._transport.kill()
        self._hang_up()

    def _say(self) -> None:
        if self._unsaid and not self._input.is_closing():
            self._input.write(b"\n".join(self._unsaid) + b"\n")
        self._unsaid.clear()

    # Called by the event loop.

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        (self._output if fd == 1 else self._errors).feed(data)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        if fd == 2 and self._reason is not None:
            self._over(self._reason)
        elif fd == 1:
            # A server that closes its output has nothing more to say; how it ended may follow in a moment.
            self._loop.call_later(0.5, self._over, "it closed its output")

    def process_exited(self) -> None:
        if not self._gone.done():
            self._gone.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._over("its guardian was killed")
        self._hang_up()

    def _told(self) -> None:
        assert self._control is not None
        try:
            words = self._control.recv(256).decode("ascii", "replace").split()
        except BlockingIOError:
            return
        except OSError:
            words = []
        if not words:
            self._loop.remove_reader(self._control.fileno())
            return
        if self._reason is None and len(words) >= 2:
            self._reason = _said(words[0], int(words[1]))
            # What it wrote at last may still be on its way.
            self._loop.call_later(0.2, self._over, self._reason)

    def _over(self, reason: str) -> None:
        if not self._is_over:
            self._is_over = True
            self.listener.ended(self._reason or reason)

    def _hang_up(self) -> None:
        control, self._control = self._control, None
        if control is not None:
            self._loop.remove_reader(control.fileno())
            control.close()
        if self._transport is not None:
            self._transport.close()

    def _line(self, text: bytes) -> None:
        if text and not text.isspace():
            self.listener.line(text)

    def _too_long(self, head: bytes, tail: bytes) -> None:
        self.listener.too_long(head, tail)

    def _error_line(self, text: bytes) -> None:
        shown = text.decode(errors="replace").strip()
        if shown:
            self.tail.append(shown[:500])
            self.listener.error_line(shown)


class _Lines:
    """Cuts bytes into lines. Of a line that is too long only the first and last ENDS bytes are told."""

    def __init__(self, take: Callable[[bytes], None], too_long: Callable[[bytes, bytes], None], longest: int) -> None:
        self._take = take
        self._too_long = too_long
        self._longest = longest
        self._pieces: list[bytes] = []
        self._size = 0
        self._head: bytes | None = None
        self._last = b""

    def feed(self, data: bytes) -> None:
        *ended, rest = data.split(b"\n")
        for line in ended:
            self._end(line)
        if rest:
            self._keep(rest)

    def _end(self, line: bytes) -> None:
        if self._head is not None or self._size + len(line) > self._longest:
            self._keep(line)
            head, tail = self._head or b"", self._last
            self._head, self._last = None, b""
            self._too_long(head, tail)
            return
        if self._pieces:
            line = b"".join([*self._pieces, line])
            self._pieces.clear()
            self._size = 0
        self._take(line)

    def _keep(self, piece: bytes) -> None:
        if self._head is None:
            self._pieces.append(piece)
            self._size += len(piece)
            if self._size <= self._longest:
                return
            piece = b"".join(self._pieces)
            self._pieces.clear()
            self._size = 0
            self._head = piece[:ENDS]
        self._last = (self._last + piece[-ENDS:])[-ENDS:]


def _said(word: str, number: int) -> str:
    if word == "exec":
        return f"its command cannot be run: {os.strerror(number)}"
    if word == "signal":
        try:
            return f"it was killed by {signal.Signals(number).name}"
        except ValueError:
            return f"it was killed by signal {number}"
    return f"it exited with status {number}"
