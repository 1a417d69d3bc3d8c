"""How a call ended, written to the access log and the figures."""

from __future__ import annotations

import time
from typing import Any

from portico.observe.access_log import AccessLog, Line
from portico.observe.metrics import Figures


class CallObserver:
    """Takes calls by their plain attributes, so that it need not know where they come from."""

    def __init__(self, access_log: AccessLog, figures: Figures) -> None:
        self._log = access_log
        self._figures = figures

    def finished(self, call: Any, outcome: str, status: int, ended: float) -> None:
        seconds = ended - call.started
        prefix = call.endpoint.prefix
        known = call.name if outcome in ("ok", "tool error") else ""
        self._figures.call(prefix, _bounded(call.method, outcome), known, outcome, seconds)
        self._log.write(
            Line(
                at=time.time(),
                kind="call",
                call=call.call_id,
                client=call.address,
                endpoint=prefix,
                method=call.method[:128],
                name=call.name,
                era=call.version[:32],
                status=status,
                outcome=outcome,
                ms=round(seconds * 1000, 3),
                detail=call.detail,
            )
        )

    def refused(self, call_id: str, address: str, method: str, path: str, status: int, why: str) -> None:
        """A request that never became a call."""
        self._figures.count("portico_refused_requests", status=str(status))
        self._log.write(
            Line(
                at=time.time(),
                kind="refused",
                call=call_id,
                client=address,
                method=method,
                name=path[:256],
                status=status,
                outcome="refused",
                detail=why[:512],
            )
        )


def _bounded(method: str, outcome: str) -> str:
    """A method that we do not know is a client's text and must not become a label."""
    return "unknown" if outcome.startswith("error -32601") else method
