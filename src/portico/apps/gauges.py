"""What a scrape reads of a worker: nothing of it is counted while calls are answered."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Callable, Iterator

from portico import __version__
from portico.apps.world import World
from portico.net.pool import Figures as PoolFigures
from portico.observe.figures import Sample
from portico.observe.process import usage

_SERVING = ("current", "last good", "nothing")
_SEVERITIES = ("error", "warning", "note")
_PROCESS = (
    "process_cpu_seconds_total",
    "process_resident_memory_bytes",
    "process_open_fds",
    "process_max_fds",
    "process_start_time_seconds",
)


def register(world: World, number: int, restarts: int) -> None:
    """`number` is the worker's place among its peers, `restarts` how many the supervisor had replaced before it."""
    read, read_all = world.figures.read, world.figures.read_all
    read_all("portico_build_info", lambda: [((__version__, platform.python_version()), 1)])
    read_all("portico_streams", lambda: [((kind,), count) for kind, count in world.streams.kinds.items()])
    read("portico_streams_limit", lambda: world.streams.most)
    read("portico_sessions", lambda: len(world.sessions))
    read("portico_parked_calls", lambda: len(world.bridge.parking))
    read("portico_endpoints", lambda: len(world.live.current.endpoints))
    read_all("portico_documents", lambda: _documents(world))
    read("portico_problem_documents", lambda: world.live.current.broken)
    read_all("portico_problems", lambda: _problems(world))
    read("portico_reloads_total", lambda: world.reloader.reloads)
    read("portico_reload_failures_total", lambda: world.reloader.failures)
    read_all("portico_notifiers_up", lambda: [((x.notifier,), x.up) for x in world.receivers.standings])
    read_all("portico_notifications_total", lambda: [((x.notifier,), x.heard) for x in world.receivers.standings])
    read("portico_worker_restarts_total", lambda: restarts)
    read_all("portico_upstream_connections", lambda: _connections(world))
    for name, field in (
        ("portico_upstream_connects_total", "connects"),
        ("portico_upstream_requests_total", "requests"),
        ("portico_upstream_failures_total", "failures"),
        ("portico_upstream_retries_total", "retries"),
    ):
        read_all(name, _upstreams(world, field))
    read_all("portico_upstream_breakers_open", lambda: (((name,), figs.broken > 0) for name, figs in _pools(world)))
    for name in _PROCESS:
        read_all(name, _process(name, str(number)))


def _documents(world: World) -> list[Sample]:
    found = Counter(state.serving for state in world.live.current.documents)
    return [((serving,), found[serving]) for serving in _SERVING]


def _problems(world: World) -> list[Sample]:
    found = Counter(str(problem.severity) for state in world.live.current.documents for problem in state.problems)
    return [((severity,), found[severity]) for severity in _SEVERITIES]


def _pools(world: World) -> Iterator[tuple[str, PoolFigures]]:
    """Several pools may have one name: those of one host with different proxies' credentials, or schemes."""
    return ((origin.name, figures) for origin, figures in world.client.figures())


def _connections(world: World) -> Iterator[Sample]:
    for name, figures in _pools(world):
        yield (name, "idle"), figures.idle
        yield (name, "busy"), figures.open - figures.idle


def _upstreams(world: World, field: str) -> Callable[[], Iterator[Sample]]:
    return lambda: (((name,), getattr(figures, field)) for name, figures in _pools(world))


def _process(name: str, number: str) -> Callable[[], list[Sample]]:
    def look() -> list[Sample]:
        found = usage()
        return [((number,), found[name])] if name in found else []

    return look
