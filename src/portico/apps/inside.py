"""What a worker knows of one endpoint that its clients cannot see, for `portico inspect`."""

from __future__ import annotations

import asyncio
from typing import Any

from portico.apps.world import World
from portico.net.errors import NetError
from portico.upstream.mcp.upstream import McpSpec

PATIENCE = 10.0
_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}


async def inside(world: World, prefix: str) -> dict[str, Any]:
    """Asks the servers behind it which eras they speak, which starts those that do not run."""
    snapshot = world.live.current
    endpoint = snapshot.endpoints.get(prefix)
    if endpoint is None:
        return {"worker": world.name, "found": False, "endpoints": sorted(snapshot.endpoints)}
    return {
        "worker": world.name,
        "found": True,
        "url": f"{_url(world)}{prefix}/mcp",
        "document": endpoint.document,
        "kind": "relay" if endpoint.upstream else "aggregate" if endpoint.aggregate else "document",
        "guarded": endpoint.guard is not None,
        "servers": await asyncio.gather(*(_server(world, spec) for spec in endpoint.specs)),
        "views": world.views.report(prefix),
    }


async def _server(world: World, spec: McpSpec) -> dict[str, Any]:
    upstream, eras, why = world.pool.find(spec), frozenset[str](), ""
    if upstream is None:
        return {"name": spec.name, "kind": spec.kind, "state": "missing", "reason": "the log says why", "eras": []}
    try:
        async with asyncio.timeout(PATIENCE):
            eras = await upstream.eras()
    except (NetError, TimeoutError) as error:
        why = str(error) or f"it has not said within {PATIENCE:g} s which eras it speaks"
    state, reason = upstream.health.state, upstream.health.reason
    return {
        "name": spec.name,
        "kind": spec.kind,
        "state": state,
        "reason": why or (reason if state == "down" else ""),
        "eras": sorted(eras),
    }


def _url(world: World) -> str:
    """Where this machine reaches the public listener."""
    settings = world.settings
    if settings.tls_cert and settings.public_url:
        return settings.public_url.rstrip("/")
    host, port = world.place.public.getsockname()[:2]
    host = _ANY.get(str(host), str(host))
    return f"{'https' if settings.tls_cert else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"
