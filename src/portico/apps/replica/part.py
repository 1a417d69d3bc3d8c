"""What one worker adds to the report of its replica."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

from portico.apps.replica.report import DOWN, MOST_TOLD, Figures, Part, Upstream
from portico.apps.world import World
from portico.config.problem import Problem, Severity
from portico.observe.figures import Figures as Counted

MINUTE = 60.0
STEP = 1_000
MOST_UPSTREAMS = 1_000


# What a client asked wrongly, or gave up, is no failure of ours or of a service.
_FINE = frozenset(("ok", "cancelled", "invalid arguments"))


@dataclass(frozen=True, slots=True)
class Totals:
    """Since the worker began."""

    calls: int = 0
    failed: int = 0
    refused: int = 0
    busy: float = 0.0


class Minute:
    """Figures of the last minute, from what the counters said at each time that somebody asked."""

    MOST = 128

    def __init__(self, figures: Counted, clock: Callable[[], float]) -> None:
        self._figures = figures
        self._clock = clock
        self._seen: deque[tuple[float, Totals]] = deque([(clock(), Totals())], maxlen=self.MOST)

    async def figures(self) -> Figures:
        totals = await self._count()
        now = self._clock()
        # The last one that is a minute old stays: from there on it is counted.
        while len(self._seen) > 1 and now - self._seen[1][0] >= MINUTE:
            self._seen.popleft()
        since, before = self._seen[0]
        self._seen.append((now, totals))
        return Figures(
            round(now - since, 1),
            totals.calls - before.calls,
            totals.failed - before.failed,
            totals.refused - before.refused,
            round(totals.busy - before.busy, 3),
        )

    async def _count(self) -> Totals:
        """A piece at a time, because with thousands of tools it takes longer than a call should wait."""
        calls, failed, busy = 0, 0, 0.0
        for number, (outcome, count, seconds) in enumerate(self._figures.ended(), 1):
            calls, busy = calls + count, busy + seconds
            if outcome not in _FINE:
                failed += count
            if number % STEP == 0:
                await asyncio.sleep(0)
        return Totals(calls, failed, int(self._figures.counted("portico_refused_requests_total")), busy)


async def part(world: World, minute: Minute) -> Part:
    snapshot = world.live.current
    problems = [problem for state in snapshot.documents for problem in state.problems]
    clean = world.redactor.clean
    return Part(
        revision=snapshot.revision.partition("/")[0],
        trouble=clean(world.live.trouble),
        secrets=clean(world.live.unsealed),
        endpoints=len(snapshot.endpoints),
        documents=dict(Counter(state.serving for state in snapshot.documents)),
        problems=dict(Counter(str(problem.severity) for problem in problems)),
        # A document that is not served as it is written matters more than a note on another.
        told=tuple(clean(str(problem)) for problem in islice(sorted(problems, key=_weight), MOST_TOLD)),
        upstreams=tuple(islice(sorted(_upstreams(world), key=lambda each: each.state not in DOWN), MOST_UPSTREAMS)),
        figures=await minute.figures(),
    )


def standing(world: World) -> tuple[object, ...]:
    """Differs when something has changed that a report should tell at once."""
    live = world.live
    down = frozenset(upstream.name for upstream in _upstreams(world) if upstream.state in DOWN)
    return live.current.revision, live.trouble, live.unsealed, down


def _weight(problem: Problem) -> int:
    return tuple(Severity).index(problem.severity)


def _upstreams(world: World) -> Iterator[Upstream]:
    """MCP servers, and services that are left alone because they failed."""
    for spec, health in world.pool.health():
        name = f"{spec.tenant}/{spec.document}/{spec.name}"
        yield Upstream(name, health.state, world.redactor.clean(health.reason))

    for origin, figures in world.client.figures():
        if figures.broken:
            yield Upstream(origin.name, "left alone", f"it failed; it is tried again in {figures.broken:.0f} s")
