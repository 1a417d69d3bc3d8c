"""Figures of this worker: plain integers in slots, given names and labels only when somebody scrapes them."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from portico.observe.metrics import BUCKETS, METRICS

Sample = tuple[tuple[str, ...], float]
"""The values of the labels, in the order of the metric's, and the figure."""


class Series:
    """Calls of one endpoint, method, name and outcome."""

    __slots__ = ("buckets", "total")

    def __init__(self) -> None:
        self.total = 0.0
        self.buckets = [0] * (len(BUCKETS) + 1)


class Figures:
    """Calls are written down as they end; what `read` was given is asked when somebody scrapes."""

    MOST_SERIES = 20_000
    MOST_SAMPLES = 1_000
    """Of one metric that is read. What is beyond is added up under the label `other`."""

    def __init__(self) -> None:
        self._calls: dict[tuple[str, str, str, str], Series] = {}
        self._counters: dict[str, dict[tuple[str, ...], float]] = {}
        self._reads: list[tuple[str, Callable[[], Iterable[Sample]]]] = []

    def call(self, endpoint: str, method: str, name: str, outcome: str, seconds: float) -> None:
        key = (endpoint, method, name, outcome)
        series = self._calls.get(key)
        if series is None:
            if len(self._calls) >= self.MOST_SERIES:
                key = ("", "", "", "beyond the bound of series")
            series = self._calls.setdefault(key, Series())
        series.total += seconds
        series.buckets[bisect_left(BUCKETS, seconds)] += 1

    def count(self, name: str, *labels: str) -> None:
        series = self._counters.setdefault(name, {})
        series[labels] = series.get(labels, 0) + 1

    def read(self, name: str, look: Callable[[], float]) -> None:
        """A metric without labels."""
        assert not METRICS[name].labels
        self._reads.append((name, lambda: [((), look())]))

    def read_all(self, name: str, look: Callable[[], Iterable[Sample]]) -> None:
        """A metric with labels, whose values must come from a bounded set."""
        self._reads.append((name, look))

    def ended(self) -> Iterator[tuple[str, int, float]]:
        """Of each series its outcome, how many calls there were, and the seconds that they took."""
        # A copy, because calls go on while somebody adds up.
        for (_, _, _, outcome), series in list(self._calls.items()):
            yield outcome, sum(series.buckets), series.total

    def counted(self, name: str) -> float:
        """A counter, whatever its labels."""
        return sum(self._counters.get(name, {}).values())

    def snapshot(self) -> dict[str, Any]:
        """Plain data that figures of several workers are added up from."""
        samples = [(name, list(series.items())) for name, series in self._counters.items()]
        samples += [(name, _bounded(look(), self.MOST_SAMPLES)) for name, look in self._reads]
        return {
            "calls": [(key, series.total, series.buckets) for key, series in self._calls.items()],
            "samples": samples,
        }


def _bounded(samples: Iterable[Sample], most: int) -> list[Sample]:
    found: dict[tuple[str, ...], float] = {}
    for labels, value in samples:
        key = labels if labels in found or len(found) < most else ("other", *labels[1:])
        found[key] = found.get(key, 0) + value
    return list(found.items())
