"""Arguments that go into `Mcp-Param-*` headers as well, where a modern server's tools say so with `x-mcp-header`.

A legacy client knows nothing of that (specification 2026-07-28, server/tools and streamable HTTP: Value Encoding).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from portico.gateway.protocol.bridge.members import body_of, members_of, value_of
from portico.upstream.mcp.http_stateless import header_value
from portico.upstream.mcp.upstream import Outcome
from portico.wire import errors

Path = tuple[str, ...]
Mirrors = dict[str, list[tuple[str, Path]]]
MOST_TOOLS = 10_000
_DEPTH = 64


def mirrors_in(tools: bytes | msgspec.Raw | None) -> Mirrors:
    """By the tool's name, the headers that it wants and where their values are among the arguments."""
    listed = value_of(tools)
    found: Mirrors = {}
    for tool in listed[:MOST_TOOLS] if isinstance(listed, list) else ():
        if isinstance(tool, dict) and isinstance(tool.get("name"), str):
            wanted = _annotated(tool.get("inputSchema"), ())
            if wanted:
                found[tool["name"]] = wanted
    return found


def headers_of(wanted: list[tuple[str, Path]], params: bytes | None) -> dict[str, str]:
    arguments = value_of(members_of(params).get("arguments"))
    found: dict[str, str] = {}
    for name, path in wanted:
        text = _text(_at(arguments, path))
        if text is not None:
            found[name] = header_value(text)
    return found


def mirrored(mirrors: Mirrors, method: str, params: bytes | None, headers: Mapping[str, str]) -> Mapping[str, str]:
    """The headers of a request, with those that its arguments go into."""
    if method != "tools/call" or not mirrors:
        return headers
    wanted = mirrors.get(value_of(members_of(params).get("name")) or "")
    return {**headers, **headers_of(wanted, params)} if wanted else headers


def lacks_headers(outcome: Outcome) -> bool:
    """Whether a server refused a call because of such headers."""
    return value_of(members_of(body_of(outcome)).get("code")) == errors.HEADER_MISMATCH


def _annotated(schema: Any, path: Path) -> list[tuple[str, Path]]:
    properties = schema.get("properties") if isinstance(schema, dict) else None
    if not isinstance(properties, dict) or len(path) > _DEPTH:
        return []
    found: list[tuple[str, Path]] = []
    for name, inner in properties.items():
        if isinstance(inner, dict) and isinstance(inner.get("x-mcp-header"), str):
            found.append((f"Mcp-Param-{inner['x-mcp-header']}", (*path, name)))
        found += _annotated(inner, (*path, name))
    return found


def _at(value: Any, path: Path) -> Any:
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _text(value: Any) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int | float) else None
