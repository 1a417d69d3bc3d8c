"""What a worker says of itself on the admin listener."""

from __future__ import annotations

import asyncio
import os
from dataclasses import asdict
from typing import Any

from portico.apps.world import World
from portico.settings import without_password


def status(world: World, connections: int) -> dict[str, Any]:
    """`connections` are those of the public listener."""
    snapshot = world.live.current
    documents = [
        {**asdict(state), "problems": [str(problem) for problem in state.problems]} for state in snapshot.documents
    ]
    return {
        "worker": world.name,
        "pid": os.getpid(),
        "revision": snapshot.revision,
        "store": {
            "url": without_password(world.settings.store),
            "trouble": world.live.trouble,
            "secrets": world.live.unsealed,
        },
        "reloads": world.reloader.reloads,
        "notifiers": [asdict(standing) for standing in world.receivers.standings],
        "documents": documents,
        "endpoints": sorted(snapshot.endpoints),
        "upstreams": [
            {"tenant": spec.tenant, "document": spec.document, "name": spec.name, **asdict(health)}
            for spec, health in world.pool.health()
        ],
        "aggregates": world.views.report(),
        "sessions": len(world.sessions),
        "parked": len(world.bridge.parking),
        "streams": len(world.streams),
        "calls": world.conversations.admission.calls,
        "connections": connections,
        "tasks": len(asyncio.all_tasks()),
        "services": {origin.name: asdict(figures) for origin, figures in world.client.figures()},
    }
