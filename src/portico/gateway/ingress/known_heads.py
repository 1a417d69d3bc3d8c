"""Heads of requests that the parser has judged before: a client that asks again sends the same bytes once more.

What the parser says of a head follows from its bytes alone, so bytes that it took once are looked up instead, with the
digits of Content-Length left out: those are all that may differ. Only a plain request that came in one piece is looked
up or learnt, and whatever is not found goes to the parser, which alone refuses. It saves 7 of 52 µs a call by itself,
and the short way of calls lives by it (docs/performance.md); KnownHeads(0) switches it off.
"""

from __future__ import annotations

from typing import Any

from portico.gateway.exchange import Request

_END = b"\r\n\r\n"
_LENGTH = b"ength: "
_LENGTH_LINE = b"\r\ncontent-length: "
_MOST_DIGITS = 7
# These change how the body is read, or what becomes of the connection.
_UNUSUAL = (b"transfer-encoding", b"expect", b"upgrade", b"connection")


Found = tuple["KnownHead", bytes, bytes]
"""The head that one whole request begins with, the digits of its length, and its body."""


class KnownHead:
    """One head, parsed. `lane` is where those who judge requests by their heads keep what they found (see Request)."""

    __slots__ = ("_after", "_before", "_cut", "headers", "lane", "method", "path", "query")

    def __init__(self, before: bytes, after: bytes, request: Request) -> None:
        """What stands before the digits of the length, and behind them up to the body."""
        self._before = before
        self._after = after
        self._cut = len(before)
        self.method = request.method
        self.path = request.path
        self.query = request.query
        self.headers = request.headers
        self.lane: Any = None

    def forget(self) -> None:
        """Connections may remember it still, and hold nothing in memory by that."""
        self._before = self._after = b""
        self.headers, self.lane = {}, None

    def again(self, data: bytes) -> Found | None:
        """The same head once more, as it nearly always is on one connection: that costs half of looking it up."""
        at, after = self._cut, self._after
        cut = data.find(b"\r", at, at + _MOST_DIGITS + 1)
        # One that is forgotten has nothing to compare with.
        if not after or cut < 0 or not data.startswith(self._before) or not data.startswith(after, cut):
            return None
        digits, body = data[at:cut], data[cut + len(after) :]
        return (self, digits, body) if digits.isdigit() and len(body) == int(digits) else None


class KnownHeads:
    """At most `most` heads of at most BYTES. When it is full it begins anew, which costs one parsing for each."""

    BYTES = 1024

    def __init__(self, most: int = 512) -> None:
        self._most = most
        self._heads: dict[bytes, KnownHead] = {}

    def forget_lanes(self) -> None:
        """What they settled is about what is served no more, and would keep it in memory."""
        for head in self._heads.values():
            head.lane = None

    def find(self, data: bytes) -> Found | None:
        at = data.find(_LENGTH) + 7
        cut = data.find(b"\r", at)
        end = data.find(_END, cut)
        digits = data[at:cut]
        # The mark stays in the key, so that the digits have but one place where they can have been.
        head = self._heads.get(data[:at] + data[cut:end])
        if head is None or end < 0 or len(digits) > _MOST_DIGITS or not digits.isdigit():
            return None
        body = data[end + 4 :]
        return (head, digits, body) if len(body) == int(digits) else None

    def learn(self, data: bytes, request: Request) -> KnownHead | None:
        """Remember the head of a request that the parser found in `data`, with nothing else in it."""
        body, headers = request.body, request.headers
        length = len(data) - len(body)
        digits = headers.get(b"content-length", b"")
        if length > self.BYTES or not digits.isdigit() or int(digits) != len(body) or not data.endswith(_END + body):
            return None
        if not self._most or any(name in headers for name in _UNUSUAL):
            return None
        at = data.find(_LENGTH) + 7
        cut = data.find(b"\r", at)
        if not data[:at].lower().endswith(_LENGTH_LINE) or data[at:cut] != digits or data.find(_END, cut) != length - 4:
            return None
        before, after = data[:at], data[cut:length]
        key = before + after[: -len(_END)]
        head = self._heads.get(key)
        if head is None:
            if len(self._heads) >= self._most:
                self._forget()
            head = self._heads[key] = KnownHead(before, after, request)
        return head

    def _forget(self) -> None:
        for head in self._heads.values():
            head.forget()
        self._heads.clear()
