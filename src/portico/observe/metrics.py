"""Every metric that there is: the one list that the code, the documentation, the dashboard and the alerts are held to.

Labels come from bounded sets: what documents name, what the protocol knows, and the workers' numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


@dataclass(frozen=True, slots=True)
class Metric:
    """`alike` is of all workers what it is of one, because they serve the same documents; others are summed."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    alike: bool = False


_UPSTREAM = ("upstream",)
_WORKER = ("worker",)

METRICS = {
    metric.name: metric
    for metric in (
        Metric("portico_build_info", "gauge", "Versions, in labels; always 1.", ("version", "python"), alike=True),
        Metric(
            "portico_call_duration_seconds",
            "histogram",
            "Calls and how long they took.",
            ("endpoint", "method", "name", "outcome"),
        ),
        Metric("portico_refused_requests_total", "counter", "Requests that never became a call.", ("status",)),
        Metric("portico_in_flight", "gauge", "Requests being answered."),
        Metric("portico_streams", "gauge", "Open event streams: standing, sse, listen or call.", ("kind",)),
        Metric("portico_streams_limit", "gauge", "Event streams that may be open."),
        Metric("portico_sessions", "gauge", "Sessions of handshake-era clients."),
        Metric("portico_parked_calls", "gauge", "Calls that wait for their client's input."),
        Metric("portico_upstream_connections", "gauge", "Connections: busy or idle.", ("upstream", "state")),
        Metric("portico_upstream_connects_total", "counter", "Connections that were opened.", _UPSTREAM),
        Metric("portico_upstream_requests_total", "counter", "Requests that were sent.", _UPSTREAM),
        Metric("portico_upstream_failures_total", "counter", "Requests and connects without an answer.", _UPSTREAM),
        Metric("portico_upstream_retries_total", "counter", "Requests that were sent once more.", _UPSTREAM),
        Metric("portico_upstream_breakers_open", "gauge", "Workers that leave it alone for a while.", _UPSTREAM),
        Metric("portico_endpoints", "gauge", "Endpoints served.", alike=True),
        Metric("portico_documents", "gauge", "Documents: current, last good or nothing.", ("serving",), alike=True),
        Metric("portico_problem_documents", "gauge", "Documents not served as they are written now.", alike=True),
        Metric("portico_problems", "gauge", "Problems of documents: error, warning, note.", ("severity",), alike=True),
        Metric("portico_reloads_total", "counter", "Reloads, of every worker."),
        Metric("portico_reload_failures_total", "counter", "Reloads that failed as a whole, of every worker."),
        Metric("portico_notifiers_up", "gauge", "Workers that hear it.", ("notifier",)),
        Metric("portico_notifications_total", "counter", "Messages that were heard, of every worker.", ("notifier",)),
        Metric("portico_lost_log_lines_total", "counter", "Lines of the access log that were not written."),
        Metric("portico_workers", "gauge", "Worker processes that answered this scrape."),
        Metric("portico_worker_restarts_total", "counter", "Workers that ended and were replaced.", alike=True),
        Metric("process_cpu_seconds_total", "counter", "Processor time, user and system.", _WORKER),
        Metric("process_resident_memory_bytes", "gauge", "Resident memory.", _WORKER),
        Metric("process_open_fds", "gauge", "Open file descriptors.", _WORKER),
        Metric("process_max_fds", "gauge", "File descriptors that may be open.", _WORKER),
        Metric("process_start_time_seconds", "gauge", "When the process began, in seconds since 1970.", _WORKER),
    )
}
