"""From a raw request path to an endpoint and the door it was asked at."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum

from portico.gateway.routing.endpoint import Endpoint


class Door(Enum):
    MCP = "mcp"
    SSE = "sse"
    MESSAGE = "message"
    PAGE = "page"
    """The bare prefix, which a person may open in a browser."""
    METADATA = "metadata"
    """What a client reads of an endpoint that asks for tokens (RFC 9728)."""


METADATA_PATH = "/.well-known/oauth-protected-resource"


@dataclass(frozen=True, slots=True)
class Route:
    endpoint: Endpoint
    door: Door


Table = Mapping[bytes, Route]


def build_table(endpoints: Iterable[Endpoint]) -> Table:
    """Every path that is served, with and without a trailing slash.

    Each full path is an entry of its own, so the longest prefix wins by construction: `/a/b/mcp` is found before
    anything could take it for `/a`. Where a bare prefix is also another endpoint's door, the door wins.
    """
    table: dict[bytes, Route] = {}
    pages: dict[bytes, Route] = {}
    for endpoint in endpoints:
        base = endpoint.prefix.rstrip("/").encode()
        for door in (Door.MCP, Door.SSE, Door.MESSAGE):
            path = base + b"/" + door.value.encode()
            table[path] = table[path + b"/"] = Route(endpoint, door)
        if endpoint.guard is not None and endpoint.guard.issuer is not None:
            table[METADATA_PATH.encode() + base + b"/mcp"] = Route(endpoint, Door.METADATA)
        if base:
            pages[base] = pages[base + b"/"] = Route(endpoint, Door.PAGE)
    return {**pages, **table}
