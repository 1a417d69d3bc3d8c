"""Heads of answers that the parser has judged before: a server that answers in the same words is looked up instead.

What the parser says of an answer follows from its bytes alone. Only a plain one, which came in one read and whose body
has a length, is learnt or looked up; whatever is not found goes to the parser. It saves 2 of 20 µs a call outside the
kernel (docs/performance.md); KnownAnswers(0) switches it off.
"""

from portico.net.response import Head, Response

_END = b"\r\n\r\n"


class KnownAnswers:
    """At most `most` heads, until they are forgotten: servers tell the time in them, so that none is of use for longer
    than a second. A server that never says the same twice costs no more than so many."""

    __slots__ = ("_heads", "_most")

    def __init__(self, most: int = 256) -> None:
        self._most = most
        self._heads: dict[bytes, tuple[Head, int, int]] = {}

    def forget(self) -> None:
        if self._heads:
            self._heads.clear()

    def find(self, data: bytes) -> Response | None:
        """The answer, where `data` is a whole one with a head that is known."""
        known = self._heads.get(data[: data.find(_END)])
        if known is None:
            return None
        head, begins, ends = known
        return Response(head, data[begins:]) if len(data) == ends else None

    def learn(self, raw: bytes, head: Head, body: bytes) -> None:
        """An answer that the parser has read, with a body that has no coding, on a connection that stays."""
        if len(self._heads) < self._most:
            begins = len(raw) + len(_END)
            self._heads[raw] = (head, begins, begins + len(body))
