"""Beginning, keeping and ending: initialize, server/discover, ping, logging/setLevel, notifications/cancelled."""

from __future__ import annotations

from typing import Any

from portico.gateway.protocol.answer import cacheable
from portico.gateway.protocol.call import Call
from portico.gateway.protocol.params import UNSET
from portico.gateway.session.session import LEVELS
from portico.wire import errors, versions
from portico.wire.errors import RpcError
from portico.wire.jsonrpc import members


async def initialize(call: Call) -> bytes:
    """Answer the handshake and settle the revision in the session (specification 2025-11-25, basic/lifecycle)."""
    settle(call)
    return greet(call, call.endpoint.capabilities, call.endpoint.instructions)


def settle(call: Call) -> None:
    """Agree on a revision, and keep what the client says of itself in its session."""
    session = call.session
    if session is None:
        raise RpcError(errors.INVALID_REQUEST, "initialize cannot be part of a batch.")
    requested = call.params.needed("protocol_version")
    version = versions.negotiate(requested, call.endpoint.oldest)
    if version is None:
        offered = versions.supported(call.endpoint.oldest)
        raise RpcError(
            errors.UNSUPPORTED_VERSION,
            f"This endpoint has no handshake; it speaks {', '.join(offered)} only.",
            {"supported": offered, "requested": requested[:64]},
            status=400,
        )
    session.version = call.version = version
    session.client = _small(call.params.client_info)
    session.capabilities = _small(call.params.capabilities)


def greet(call: Call, capabilities: dict[str, Any], instructions: str | None) -> bytes:
    result: dict[str, Any] = {
        "protocolVersion": call.version,
        "capabilities": capabilities,
        "serverInfo": call.endpoint.server_info,
    }
    if instructions is not None:
        result["instructions"] = instructions
    return members(result)


def _small(value: Any) -> dict[str, Any]:
    """What a client says of itself is kept for the life of its session, so it is bounded."""
    if value is UNSET or len(members(value)) > 16_384:
        return {}
    return value


async def discover(call: Call) -> bytes:
    """specification 2026-07-28, server/discover"""
    return present(call, call.endpoint.capabilities, call.endpoint.instructions)


def present(call: Call, capabilities: dict[str, Any], instructions: str | None) -> bytes:
    result: dict[str, Any] = {
        "supportedVersions": versions.supported(call.endpoint.oldest),
        "capabilities": capabilities,
    }
    if instructions is not None:
        result["instructions"] = instructions
    call.tail = call.endpoint.greeting_tail
    return cacheable(call, members(result))


async def ping(call: Call) -> bytes:
    return b""


async def set_level(call: Call) -> bytes:
    level = call.params.needed("level")
    if level not in LEVELS:
        raise RpcError(errors.INVALID_PARAMS, f"Unknown log level; known are {', '.join(LEVELS)}.")
    if call.session is not None:
        call.session.level = level
    return b""


def cancelled(call: Call) -> None:
    """Drop the call that the notification names, if it is still under way; anything else is ignored, as specified."""
    session, identifier = call.session, call.params.request_id
    if session is None or identifier is UNSET:
        return
    cancel = session.calls.pop(identifier, None)
    if cancel is not None:
        cancel()


def nothing(call: Call) -> None:
    """A notification that is welcome and changes nothing here."""
