"""An MCP server that is a process of ours: JSON-RPC in lines on its standard streams, its errors in the log."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping

from portico.net.errors import NetError, Rejected, Unreachable
from portico.upstream.mcp.channel import Channel
from portico.upstream.mcp.channels import ChannelUpstream
from portico.upstream.mcp.health import Life
from portico.upstream.mcp.home import Home
from portico.upstream.mcp.log import BoundedLog
from portico.upstream.mcp.mux import Mux
from portico.upstream.mcp.process import LONGEST_LINE, Process
from portico.upstream.mcp.upstream import McpSpec

_ID = re.compile(rb'"id"\s*:\s*(\d{1,15})\s*[,}]')
_HIDDEN_AT_LEAST = 6
_ONE_LINE = bytes.maketrans(b"\r\n", b"  ")


class StdioChannel:
    """`busy` is told what the process writes to its standard error."""

    def __init__(self, spec: McpSpec, name: str, log: BoundedLog, busy: Callable[[str], None]) -> None:
        self.mux: Mux | None = None
        self.on_end: Callable[[NetError], None] = lambda _: None
        self._spec = spec
        self._name = name
        self._log = log
        self._busy = busy
        self._process = Process(self)

    async def start(self, environment: Mapping[str, str]) -> None:
        spec = self._spec
        try:
            await self._process.start([spec.command or "", *spec.args], {**environment, **dict(spec.env)}, spec.cwd)
        except NetError as error:
            raise Unreachable(f"{self._name}: {error.message}") from error

    def send(self, message: bytes, number: int | None, headers: Mapping[str, str] = {}) -> None:
        try:
            # A line end ends the message wherever it is read; JSON has them between its tokens only.
            if b"\n" in message or b"\r" in message:
                message = message.translate(_ONE_LINE)
            self._process.write(message)
        except NetError as error:
            raise type(error)(f"{self._name}: {error.message}") from error

    async def close(self) -> None:
        await self._process.stop()

    # Called by the process.

    def line(self, text: bytes) -> None:
        if self.mux is not None:
            self.mux.take(text)

    def too_long(self, head: bytes, tail: bytes) -> None:
        error = Rejected(f"{self._name} answered with more than {LONGEST_LINE} bytes", sent=True)
        found = _ID.search(head) or _ID.search(tail)
        if found is not None and self.mux is not None:
            self.mux.lose(int(found[1]), error)
        self._log.warning("wrote a line of more than %d bytes", LONGEST_LINE)

    def error_line(self, text: str) -> None:
        shown = self._hidden(text)
        self._log.info("%s", shown)
        self._busy(shown)

    def ended(self, reason: str) -> None:
        said = self._hidden(" | ".join(self._process.tail))
        error = Unreachable(
            f"{self._name} is gone: {reason}" + (f"; it said: {said[-1000:]}" if said else ""), sent=True
        )
        if self.mux is not None:
            self.mux.end(error)
        self.on_end(error)

    def _hidden(self, text: str) -> str:
        """Without the values of the environment that the document gives it, which may be secrets."""
        for _, value in self._spec.env:
            if len(value) >= _HIDDEN_AT_LEAST:
                text = text.replace(value, "REDACTED")
        return text


def stdio_upstream(spec: McpSpec, environment: Mapping[str, str]) -> ChannelUpstream:
    """Build it inside the event loop. `environment` is what every process gets besides its own."""
    clock = asyncio.get_running_loop().time
    name = f"{spec.name} ({spec.command})"
    life, log = Life(name, clock), BoundedLog(name, clock)

    def busy(line: str) -> None:
        if life.health.state == "starting":
            life.starting(line)

    async def open_channel() -> Channel:
        channel = StdioChannel(spec, name, log, busy)
        await channel.start(environment)
        return channel

    return ChannelUpstream(Home(spec, name, life, log, open_channel, spec.start_timeout))
