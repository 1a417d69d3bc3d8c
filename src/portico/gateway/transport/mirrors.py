"""Headers that repeat what a modern body says must agree with it (specification 2026-07-28, streamable HTTP)."""

from __future__ import annotations

from typing import Literal

from portico.gateway.exchange import Request
from portico.gateway.protocol.call import Call
from portico.gateway.protocol.params import UNSET
from portico.wire import errors
from portico.wire.errors import RpcError
from portico.wire.headers import decode_value

_HEADERS = {
    "version": (b"mcp-protocol-version", "MCP-Protocol-Version"),
    "method": (b"mcp-method", "Mcp-Method"),
    "name": (b"mcp-name", "Mcp-Name"),
    "uri": (b"mcp-name", "Mcp-Name"),
}


_REPEATED = (b"mcp-name", b"mcp-param-")


def mirrors_of(request: Request) -> tuple[str, ...]:
    """The headers of this request that repeat what its body says, and are passed on with it."""
    return tuple(name.decode() for name in request.headers if name.startswith(_REPEATED))


def check_mirrors(call: Call, request: Request, what: Literal["version", "method", "name", "uri"] | str) -> None:
    """RpcError with HEADER_MISMATCH when the header is missing, unreadable or says something else than the body."""
    key, title = _HEADERS[what]
    body = _body_value(call, what)
    raw = request.headers.get(key)
    if raw is None:
        raise RpcError(errors.HEADER_MISMATCH, f"Header mismatch: {title} is missing; send {title}: {body[:200]}")
    # Nearly every client sends the value as it is; only what differs is worth decoding.
    if body.isascii() and raw == body.encode() and raw[:2] != b"=?":
        return
    value = decode_value(raw)
    if value is None:
        raise RpcError(errors.HEADER_MISMATCH, f"Header mismatch: {title} has characters that a header may not have.")
    if value != body:
        raise RpcError(
            errors.HEADER_MISMATCH,
            f"Header mismatch: {title} header value '{value[:200]}' does not match body value '{body[:200]}'",
        )


def _body_value(call: Call, what: str) -> str:
    if what == "version":
        meta = call.params.meta
        assert meta is not UNSET
        return str(meta.version)
    if what == "method":
        return call.method
    return str(call.params.needed(what))
