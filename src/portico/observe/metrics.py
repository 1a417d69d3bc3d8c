"""Figures of this worker: plain integers in slots, given names and labels only when somebody scrapes them.

Labels come from bounded sets: endpoints and tools of the documents, outcomes of the protocol.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable
from typing import Any

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)

Labels = tuple[tuple[str, str], ...]
Sample = tuple[str, Labels, float]


class Series:
    """Calls of one endpoint, method, name and outcome."""

    __slots__ = ("buckets", "count", "total")

    def __init__(self) -> None:
        self.count = 0
        self.total = 0.0
        self.buckets = [0] * (len(BUCKETS) + 1)


class Figures:
    """`gauges` are read when somebody asks."""

    MOST_SERIES = 20_000

    def __init__(self) -> None:
        self._calls: dict[tuple[str, str, str, str], Series] = {}
        self._counters: dict[tuple[str, Labels], int] = {}
        self._gauges: list[tuple[str, Callable[[], float]]] = []

    def call(self, endpoint: str, method: str, name: str, outcome: str, seconds: float) -> None:
        key = (endpoint, method, name, outcome)
        series = self._calls.get(key)
        if series is None:
            if len(self._calls) >= self.MOST_SERIES:
                key = ("", "", "", "beyond the bound of series")
            series = self._calls.setdefault(key, Series())
        series.count += 1
        series.total += seconds
        series.buckets[bisect_left(BUCKETS, seconds)] += 1

    def count(self, name: str, **labels: str) -> None:
        key = (name, tuple(sorted(labels.items())))
        self._counters[key] = self._counters.get(key, 0) + 1

    def gauge(self, name: str, read: Callable[[], float]) -> None:
        self._gauges.append((name, read))

    def snapshot(self) -> dict[str, Any]:
        """Plain data that figures of several workers are summed from."""
        return {
            "calls": [[*key, series.count, series.total, series.buckets] for key, series in self._calls.items()],
            "counters": [[name, labels, value] for (name, labels), value in self._counters.items()],
            "gauges": [[name, read()] for name, read in self._gauges],
        }


_HELP = {
    "portico_streams": "Open event streams.",
    "portico_sessions": "Sessions of handshake-era clients.",
    "portico_in_flight": "Requests being answered.",
    "portico_subscriptions": "Open subscriptions/listen streams.",
    "portico_endpoints": "Endpoints served.",
    "portico_problem_documents": "Documents with an error, not served as written.",
    "portico_workers": "Worker processes that answered this scrape.",
}


def exposition(snapshots: list[dict[str, Any]]) -> bytes:
    """The Prometheus text format, summed over the workers."""
    from prometheus_client import CollectorRegistry, generate_latest
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

    class Collector:
        def collect(self) -> Iterable[Any]:
            yield from _calls(snapshots, HistogramMetricFamily)
            counters: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
            gauges: dict[str, float] = {"portico_workers": float(len(snapshots))}
            for snapshot in snapshots:
                for name, labels, value in snapshot["counters"]:
                    series = counters.setdefault(name, {})
                    key = tuple((label, text) for label, text in labels)
                    series[key] = series.get(key, 0) + value
                for name, value in snapshot["gauges"]:
                    # Every worker serves the same documents, so these two are not summed.
                    alike = name in ("portico_endpoints", "portico_problem_documents")
                    gauges[name] = max(gauges.get(name, 0.0), value) if alike else gauges.get(name, 0.0) + value
            for name, series in counters.items():
                labels = [label for label, _ in next(iter(series))]
                family = CounterMetricFamily(name, _HELP.get(name, name), labels=labels)
                for key, value in series.items():
                    family.add_metric([text for _, text in key], value)
                yield family
            for name, value in gauges.items():
                yield GaugeMetricFamily(name, _HELP.get(name, name), value=value)

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Collector())
    return generate_latest(registry)


def _calls(snapshots: list[dict[str, Any]], family_type: Any) -> Iterable[Any]:
    totals: dict[tuple[str, ...], list[Any]] = {}
    for snapshot in snapshots:
        for endpoint, method, name, outcome, _, seconds, buckets in snapshot["calls"]:
            entry = totals.setdefault((endpoint, method, name, outcome), [0.0, [0] * len(buckets)])
            entry[0] += seconds
            entry[1] = [mine + more for mine, more in zip(entry[1], buckets, strict=True)]
    labels = ["endpoint", "method", "name", "outcome"]
    family = family_type("portico_call_duration_seconds", "Calls and how long they took.", labels=labels)
    for key, (seconds, buckets) in totals.items():
        running, cumulative = 0, []
        for bound, count in zip([*map(str, BUCKETS), "+Inf"], buckets, strict=True):
            running += count
            cumulative.append((bound, running))
        family.add_metric(key, buckets=cumulative, sum_value=seconds)
    yield family
