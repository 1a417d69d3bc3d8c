"""`portico replicas`: arguments → one call into apps/replica."""

from __future__ import annotations

from typing import Any

from portico.apps.outcome import Outcome
from portico.cli.on_store import Open, on_store


def _open() -> Open:
    from portico.apps.replica.command import ReplicaList

    return lambda settings, tenant, ask: ReplicaList(settings, tenant)


@on_store(_open, of_all=True)
async def replicas(desk: Any) -> Outcome:
    """List the gateways of a store as they report of themselves; one that does not report any more is silent."""
    return await desk.listed()
