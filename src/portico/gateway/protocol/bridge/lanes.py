"""Upstream sessions for calls whose clients may be asked: one in which a call waits for input takes no other.

A server's question may not say which call it concerns. It is clear as long as no other call of its session waits.
"""

from __future__ import annotations

from portico.upstream.mcp.upstream import Hello, McpSpec

MOST = 32
MOST_PROCESSES = 4


class Lane:
    """It has `calls`, of which `waiting` wait for input. The first lane of a hello has no `owner`, so that the session
    is kept when idle."""

    def __init__(self, owner: str | None) -> None:
        self.owner = owner
        self.calls = 0
        self.waiting = 0

    def left(self) -> None:
        self.calls -= 1


class Lanes:
    def __init__(self) -> None:
        self._lanes: dict[tuple[McpSpec, Hello], list[Lane]] = {}

    def free(self, spec: McpSpec, hello: Hello) -> Lane:
        """The first in which no call waits. Where there are too many, the one in which the fewest do."""
        lanes = self._lanes.setdefault((spec, hello), [Lane(None)])
        for lane in lanes:
            if not lane.waiting:
                return lane
        if len(lanes) >= (MOST_PROCESSES if spec.kind == "stdio" else MOST):
            return min(lanes, key=lambda lane: lane.waiting)
        lanes.append(Lane(f"lane-{len(lanes)}"))
        return lanes[-1]

    def tidy(self) -> None:
        """Forget those in which there is no call."""
        for key, lanes in tuple(self._lanes.items()):
            while lanes and not lanes[-1].calls:
                lanes.pop()
            if not lanes:
                del self._lanes[key]
