"""Figures of all workers, added up and written in Prometheus' text format."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from portico.observe.metrics import BUCKETS, METRICS, Metric

Snapshot = dict[str, Any]
Series = dict[tuple[str, ...], float]

_BOUNDS = [f'"{bound}"' for bound in (*BUCKETS, "+Inf")]


def exposition(snapshots: list[Snapshot]) -> bytes:
    """The page that a scrape gets. It takes long where there are thousands of tools: call it in a thread."""
    from prometheus_client import CollectorRegistry, generate_latest

    class Collector:
        def collect(self) -> Iterable[Any]:
            return _families(snapshots)

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Collector())
    return generate_latest(registry) + _durations(METRICS["portico_call_duration_seconds"], snapshots)


def _families(snapshots: list[Snapshot]) -> Iterable[Any]:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    found = _added_up(snapshots)
    found["portico_workers"] = {(): float(len(snapshots))}
    for metric in METRICS.values():
        if metric.kind == "histogram":
            continue
        kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
        family = kind(metric.name, metric.help, labels=metric.labels)
        for labels, value in found.get(metric.name, {}).items():
            family.add_metric(labels, value)
        yield family


def _added_up(snapshots: list[Snapshot]) -> dict[str, Series]:
    found: dict[str, Series] = {}
    for snapshot in snapshots:
        for name, samples in snapshot["samples"]:
            series, alike = found.setdefault(name, {}), METRICS[name].alike
            for given, value in samples:
                labels = tuple(given)
                before = series.get(labels, 0.0)
                series[labels] = max(before, value) if alike else before + value
    return found


def _durations(metric: Metric, snapshots: list[Snapshot]) -> bytes:
    """Written here and not by the library, which takes 2.4 s for 10,000 tools where this takes 0.2 s."""
    totals: dict[tuple[str, ...], tuple[float, list[int]]] = {}
    for snapshot in snapshots:
        for given, seconds, buckets in snapshot["calls"]:
            labels = tuple(given)
            before, counts = totals.get(labels, (0.0, [0] * len(buckets)))
            totals[labels] = (before + seconds, [mine + more for mine, more in zip(counts, buckets, strict=True)])
    lines = [f"# HELP {metric.name} {metric.help}\n# TYPE {metric.name} histogram\n"]
    for labels, (seconds, counts) in totals.items():
        pairs = ",".join([f'{name}="{_escaped(value)}"' for name, value in zip(metric.labels, labels, strict=True)])
        running, start = 0, f"{metric.name}_bucket{{{pairs},le="
        for bound, count in zip(_BOUNDS, counts, strict=True):
            running += count
            lines.append(f"{start}{bound}}} {running}\n")
        lines.append(f"{metric.name}_count{{{pairs}}} {running}\n{metric.name}_sum{{{pairs}}} {seconds}\n")
    return "".join(lines).encode()


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
