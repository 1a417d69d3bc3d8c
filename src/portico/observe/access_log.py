"""One line for each answered call and refused request, encoded by one struct and written in batches."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import IO

import msgspec


class Line(msgspec.Struct, omit_defaults=True):
    """`at` is seconds since 1970, `ms` the time to the answer; `call` also stands in the answer and in every error."""

    at: float
    kind: str
    call: str = ""
    trace: str = ""
    client: str = ""
    endpoint: str = ""
    method: str = ""
    name: str = ""
    era: str = ""
    status: int = 0
    outcome: str = ""
    ms: float = 0.0
    detail: str = ""
    principal: str = ""


class AccessLog:
    """`style` is json, text or off. `clean` takes secrets out of what others wrote.

    Lines wait for flush(), which is called several times a second; under load they are encoded in batches before, for
    bytes take a quarter of the room.
    """

    MOST_WAITING = 10_000
    BATCH = 256

    def __init__(self, style: str, sink: IO[bytes], clean: Callable[[str], str] = str) -> None:
        self._style = style
        self._sink = sink
        self._clean = clean
        self._waiting: list[Line] = []
        self._encoded: list[bytes] = []
        self._encoder = msgspec.json.Encoder()
        self.lost = 0

    def write(self, line: Line) -> None:
        if self._style == "off":
            return
        waiting = self._waiting
        waiting.append(line)
        if len(waiting) < self.BATCH:
            return
        if len(self._encoded) < self.MOST_WAITING // self.BATCH:
            self._encode()
        else:
            waiting.clear()
            self.lost += self.BATCH

    def flush(self) -> None:
        if self._waiting:
            self._encode()
        if not self._encoded:
            return
        data, self._encoded = b"".join(self._encoded), []
        self._sink.write(data)
        self._sink.flush()

    def _encode(self) -> None:
        waiting, self._waiting = self._waiting, []
        for line in waiting:
            if line.detail:
                line.detail = self._clean(line.detail)
        if self._style == "json":
            self._encoded.append(self._encoder.encode_lines(waiting))
        else:
            self._encoded.append("".join([_text(line) for line in waiting]).encode())


def _text(line: Line) -> str:
    at = time.strftime("%H:%M:%S", time.localtime(line.at))
    parts = (line.endpoint, line.method, line.name, line.outcome, str(line.status), f"{line.ms:.1f} ms")
    words = " ".join(printable(part) for part in parts if part)
    ids = f"call={line.call} trace={line.trace}" if line.trace else f"call={line.call}"
    who = f"client={line.client} principal={printable(line.principal)}" if line.principal else f"client={line.client}"
    return f"{at} {line.kind} {words} {ids} {who} {printable(line.detail)}".rstrip() + "\n"


def printable(text: str) -> str:
    """Control characters escaped, so that no value can forge a line of the log."""
    return text if text.isprintable() else text.encode("unicode_escape").decode("ascii")
