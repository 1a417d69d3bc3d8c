"""One request under way at an upstream: whose it is, and until when its answer is waited for."""

from __future__ import annotations

from collections.abc import Callable

from portico.net.waiting import Waiting
from portico.upstream.mcp.upstream import Hear, Heard
from portico.wire.jsonrpc import Id

PARKED = 600.0


class Asked:
    """`number` is the id that the upstream knows, `identifier` and `token` are the client's.

    The time in which a person is asked for input does not count towards the deadline, up to PARKED seconds at a time.
    `moved` is told where the deadline moves to. `end` is for channels, where answers come in by themselves; it is done
    with None where something is said before the answer to a request that nobody hears for: see `overhear`.
    """

    __slots__ = (
        "_asking",
        "_left",
        "deadline",
        "early",
        "end",
        "hear",
        "identifier",
        "listens",
        "moved",
        "number",
        "token",
        "wants_logs",
    )

    def __init__(self, number: int, identifier: Id, deadline: float, hear: Hear | None) -> None:
        self.number = number
        self.identifier = identifier
        self.deadline = deadline
        self.hear = hear
        self.token: bytes | None = None
        self.wants_logs = True
        self.listens = False
        self.end: Waiting | None = None
        self.early: list[Heard] = []
        self.moved: Callable[[float], None] | None = None
        self._asking = 0
        self._left = 0.0

    def overhear(self, heard: Heard) -> None:
        """To be used as `hear` until somebody can be told: whoever waits for `end` goes on at the first message."""
        end = self.end
        if end is None or end.done():
            return
        if not self.early:
            self.end = Waiting(loop=end.get_loop())
            end.set_result(None)
        self.early.append(heard)

    def tell(self, hear: Hear) -> None:
        """From now on somebody hears, also of what was said so far."""
        self.hear = hear
        for heard in self.early:
            hear(heard)

    def pause(self, now: float) -> None:
        """A person is asked."""
        if not self._asking:
            self._left = self.deadline - now
        self._asking += 1
        self._move(max(self.deadline, now + PARKED))

    def resume(self, now: float) -> None:
        """A person has answered."""
        if self._asking:
            self._asking -= 1
        if not self._asking:
            self._move(now + self._left)

    def _move(self, deadline: float) -> None:
        self.deadline = deadline
        if self.moved is not None:
            self.moved(deadline)
