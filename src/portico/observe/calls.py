"""How a call ended, written to the access log and the figures."""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import Any

from portico.observe.access_log import AccessLog, Line
from portico.observe.figures import Figures

CODES = (-32700, -32600, -32601, -32602, -32603, -32000, -32001, -32002, -32003, -32020, -32021, -32022)
OUTCOMES = frozenset(("ok", "tool error", "invalid arguments", "cancelled", *(f"error {code}" for code in CODES)))
"""Outcomes that are labels. A server that an endpoint relays to may answer with any code; those are one together."""


class CallObserver:
    """Takes calls by their plain attributes, so that it need not know where they come from.

    A method is a label when it is one of `methods`, and a name when a document has it: what a client made up never is.
    """

    def __init__(self, access_log: AccessLog, figures: Figures, methods: Collection[str]) -> None:
        self._log = access_log
        self._figures = figures
        self._methods = methods

    def finished(self, call: Any, outcome: str, status: int, ended: float) -> None:
        seconds = ended - call.started
        prefix, trace = call.endpoint.prefix, call.trace
        method = call.method if call.method in self._methods else "unknown"
        own = method != "resources/read" and call.endpoint.upstream is None
        name = call.name if own else _known_resource(call)
        self._figures.call(prefix, method, name, outcome if outcome in OUTCOMES else "error other", seconds)
        if trace is not None:
            trace.finish(call, name, outcome)
        self._log.write(
            # In the order of its fields, for names cost every call.
            Line(
                time.time(),
                "call",
                call.call_id,
                "" if trace is None else trace.trace_id,
                call.address,
                prefix,
                call.method[:128],
                call.name,
                call.version[:32],
                status,
                outcome,
                int(seconds * 1_000_000) / 1000,
                call.detail,
                "" if call.principal is None else call.principal.name,
            )
        )

    def refused(self, call_id: str, address: str, method: str, path: str, status: int, why: str) -> None:
        """A request that never became a call."""
        self._figures.count("portico_refused_requests_total", str(status))
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


def _known_resource(call: Any) -> str:
    """A resource's URI where a document has it. What fits a URI template, or is relayed to an MCP server, is a client's
    text, and without bound."""
    return call.name if call.name in call.endpoint.catalog.resources else ""
