"""Reading server-sent events as they arrive, however the bytes are cut (WHATWG HTML, section 9.2.6)."""

from __future__ import annotations

from typing import NamedTuple

LONGEST = 4 * 1024 * 1024
_BOM = b"\xef\xbb\xbf"
_COMMENT = ord(":")


class Event(NamedTuple):
    name: str
    data: bytes


class EventReader:
    """Feed it bytes; it gives the events they complete. One without data is none: it only primes `last_id`.

    `last_id` is what to resume from, and `retry` the milliseconds that the server asks to wait before that. An event of
    more than `longest` bytes is a ValueError.
    """

    __slots__ = ("_after_cr", "_data", "_fresh", "_id", "_longest", "_name", "_rest", "_size", "last_id", "retry")

    def __init__(self, longest: int = LONGEST) -> None:
        self.last_id: bytes | None = None
        self.retry: int | None = None
        self._longest = longest
        self._rest: list[bytes] = []  # The pieces of a line that has not ended.
        self._size = 0  # Of the event that has not ended, its unfinished line included.
        self._after_cr = False
        self._fresh = True
        self._name = b""
        self._id: bytes | None = None
        self._data: list[bytes] = []

    def feed(self, piece: bytes) -> list[Event]:
        if self._after_cr and piece:
            # The line has ended at the carriage return; a line feed right after it belongs to that end.
            self._after_cr = False
            if piece[0] == 0x0A:
                piece = piece[1:]
        if not piece:
            return []
        self._after_cr = piece[-1] == 0x0D
        if b"\n" not in piece and b"\r" not in piece:
            self._rest.append(piece)
            self._grow(len(piece))
            return []
        if self._rest:
            self._size -= sum(map(len, self._rest))
            piece = b"".join([*self._rest, piece])
            self._rest.clear()
        return self._read(piece)

    def _read(self, text: bytes) -> list[Event]:
        lines = text.splitlines()
        if text[-1] not in b"\r\n":
            unfinished = lines.pop()
            self._rest.append(unfinished)
        found: list[Event] = []
        for line in lines:
            if not line:
                self._end(found)
                continue
            if self._fresh:
                self._fresh = False
                line = line.removeprefix(_BOM) or b":"
            if line[0] != _COMMENT:
                self._grow(len(line))
                self._take(line)
        if self._rest:
            self._grow(len(self._rest[0]))
        return found

    def _take(self, line: bytes) -> None:
        field, _, value = line.partition(b":")
        if value[:1] == b" ":
            value = value[1:]
        if field == b"data":
            self._data.append(value)
        elif field == b"event":
            self._name = value
        elif field == b"id":
            if b"\0" not in value:
                self._id = value
        elif field == b"retry" and value.isdigit() and len(value) < 10:
            self.retry = int(value)

    def _end(self, found: list[Event]) -> None:
        self._fresh = False
        if self._id is not None:
            self.last_id = self._id
        if self._data:
            data = self._data[0] if len(self._data) == 1 else b"\n".join(self._data)
            if data:
                found.append(Event(self._name.decode(errors="replace") or "message", data))
            self._data = []
        self._name = b""
        self._size = 0

    def _grow(self, size: int) -> None:
        self._size += size
        if self._size > self._longest:
            raise ValueError(f"an event of more than {self._longest} bytes")
