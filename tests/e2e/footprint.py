"""What a gateway holds, so that it can be seen that nothing was left behind."""

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.processes import Gateway, until

CALM = 60.0


@dataclass(frozen=True)
class Footprint:
    """What a gateway holds."""

    memory: float
    descriptors: int
    connections: int
    sessions: int
    streams: int
    calls: int
    tasks: int

    @classmethod
    def of(cls, gateway: Gateway) -> "Footprint":
        (status,) = gateway.status()
        pid = status["pid"]
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        resident = next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))
        named = {name: status[name] for name in ("connections", "sessions", "streams", "calls", "tasks")}
        return cls(resident / 1024, len(os.listdir(f"/proc/{pid}/fd")), **named)

    def exceeds(self, baseline: "Footprint") -> dict[str, tuple[float, float]]:
        """What is more than a tenth above; of counts, one or two more may be under way just now."""
        found = {}
        for name in self.__dataclass_fields__:
            now, then = getattr(self, name), getattr(baseline, name)
            if now > then * 1.1 + (0 if name == "memory" else 2):
                found[name] = (now, then)
        return found


async def calm(gateway: Gateway, like: Footprint | None = None) -> Footprint:
    """What the gateway holds when nothing happens any more: as little as a footprint from before, or no session."""

    def look() -> Footprint | None:
        found = Footprint.of(gateway)
        too_much = found.exceeds(like) if like is not None else found.sessions + found.streams + found.calls
        return None if too_much else found

    try:
        return await asyncio.to_thread(until, look, "calm", CALM)
    except AssertionError as error:
        more = Footprint.of(gateway).exceeds(like) if like is not None else Footprint.of(gateway)
        raise AssertionError(f"The gateway still holds {more}") from error
