"""Progress of slow calls: while an upstream takes its time, the client hears every second that it is waited for.

One sweep serves all calls. One that is done within a second says nothing, and neither does one that an MCP server
answers, which tells its own (specification 2026-07-28, patterns/progress).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from portico.gateway.protocol.call import Call
from portico.wire.jsonrpc import encode_notification


class Progress:
    INTERVAL = 1.0

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._waiting: dict[str, tuple[Call, float]] = {}

    @contextmanager
    def of(self, call: Call) -> Iterator[None]:
        """Report on this call for as long as the block runs, if its client asked for progress."""
        if call.progress_token is None or call.notify is None:
            yield
            return
        self._waiting[call.call_id] = (call, call.started)
        try:
            yield
        finally:
            del self._waiting[call.call_id]

    def sweep(self) -> None:
        """Tell everybody who has waited another INTERVAL. To be called several times a second."""
        now = self._clock()
        for key, (call, told) in list(self._waiting.items()):
            # Between what a server tells, numbers of ours would go back and forth.
            if now - told < self.INTERVAL or call.notify is None or call.relayed:
                continue
            self._waiting[key] = (call, now)
            elapsed = round(now - call.started, 1)
            total = round(call.deadline - call.started, 1)
            call.notify(
                encode_notification(
                    "notifications/progress",
                    {
                        "progressToken": call.progress_token,
                        "progress": min(elapsed, total),
                        "total": total,
                        "message": f"Waiting for {call.name or call.method}, {elapsed:.0f} s so far.",
                    },
                )
            )
