"""An entry of `mcpServers` with its templates filled in: what the pool of upstreams compares and starts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from portico.config.document import Document
from portico.template import compile_header
from portico.upstream.mcp.upstream import McpSpec

ROOTS = frozenset({"values", "secrets"})


def mcp_spec(document: Document, name: str, secrets: Mapping[str, str]) -> McpSpec:
    """Raises RenderError where a value or secret is missing."""
    server = document.mcp_servers[name]
    scope: dict[str, Any] = {"values": document.values, "secrets": dict(secrets)}

    def filled(source: str) -> str:
        return compile_header(source, ROOTS).render(scope) or ""

    return McpSpec(
        tenant=document.tenant,
        document=document.name,
        name=name,
        kind=server.kind,
        url=filled(server.url) if server.url is not None else None,
        headers=tuple((key, filled(value)) for key, value in server.headers.items()),
        command=server.command,
        args=tuple(server.args),
        env=tuple((key, filled(value)) for key, value in server.env.items()),
        cwd=server.cwd,
        protocol=server.protocol,
        session=server.session,
        forward_headers=tuple(name.lower() for name in server.forward.headers),
        proxy=server.proxy,
        timeout=server.timeout,
        start=server.start,
        start_timeout=server.start_timeout,
        idle_timeout=server.idle_timeout,
    )
