"""`portico replicas`: the gateways of a store, as they report of themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from portico.apps.desk import Desk
from portico.apps.outcome import Outcome
from portico.apps.printing import printable, table
from portico.apps.replica.report import Report
from portico.store.records import Replica
from portico.store.store import StoreError

SILENT = 30.0
"""Seconds without a report, by the store's clock: three of the longest beats."""


class ReplicaList(Desk):
    async def listed(self) -> Outcome:
        if self._settings.on_files:
            raise StoreError("gateways on files report to nobody", "Ask their admin listeners: GET /status")
        now = await self._store.revision()
        found = [_shown(replica, now) for replica in await self._store.replicas.list()]
        if not found:
            return Outcome(["No gateway reports to this store."], [])
        return Outcome(
            [*table([_row(each) for each in found]), *(line for each in found for line in _more(each))], found
        )


def _shown(replica: Replica, now: str) -> dict[str, Any]:
    try:
        report, state = msgspec.json.decode(replica.report, type=Report), "reports"
    except msgspec.DecodeError:
        report, state = Report(), "unreadable"
    seconds = max(0, replica.age) / 1000
    behind = int(now) - int(report.revision) if now.isdecimal() and report.revision.isdecimal() else None
    known = {"id": replica.id, "state": "silent" if seconds > SILENT else state, "seconds": round(seconds, 1)}
    return {**known, "behind": behind, **msgspec.to_builtins(report)}


def _row(shown: Mapping[str, Any]) -> dict[str, Any]:
    figures, broken = shown["figures"], sum(shown["documents"].values()) - shown["documents"].get("current", 0)
    return {
        "replica": shown["id"],
        "state": shown["state"] + (f" for {_span(shown['seconds'])}" if shown["state"] == "silent" else ""),
        "version": shown["version"],
        "address": shown["address"],
        "workers": f"{shown['answering']} of {shown['workers']}",
        "revision": shown["revision"] + (f" ({shown['behind']} behind)" if shown["behind"] else ""),
        "documents": sum(shown["documents"].values()),
        "not current": broken,
        "upstreams down": shown["upstreams"].get("down", 0) + shown["upstreams"].get("left alone", 0),
        "calls/min": figures["calls"],
        "failed": figures["failed"],
        "mean ms": f"{figures['busy'] / figures['calls'] * 1000:.1f}" if figures["calls"] else "",
    }


def _more(shown: Mapping[str, Any]) -> list[str]:
    """What stands against it, a line each."""
    found = [f"the store cannot be read: {shown['trouble']}"] if shown["trouble"] else []
    found += [shown["secrets"]] if shown["secrets"] else []
    found += shown["told"]
    hidden = sum(shown["problems"].values()) - len(shown["told"])
    found += [f"and {hidden} more problems"] if hidden > 0 else []
    found += [
        f"{each['name']} is {each['state']}, for {each['workers']} of {shown['answering']} workers: {each['reason']}"
        for each in shown["down"]
    ]
    return [f"{shown['id']}: {printable(text)}" for text in found]


def _span(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7_200 else f"{seconds / 3_600:.0f} h"
