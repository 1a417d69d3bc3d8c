"""Asking an included server for its lists, as a client would: in its era, with its capabilities and headers."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from portico.gateway.protocol.aggregate.lists import Lists, fetch
from portico.gateway.protocol.aggregate.rewriting import members_of
from portico.gateway.protocol.call import Call
from portico.gateway.routing.include import Include
from portico.upstream.mcp.upstream import Conversation, McpSpec, Outcome
from portico.wire import errors
from portico.wire.errors import RpcError

_NAMES = [f"io.modelcontextprotocol/{name}" for name in ("protocolVersion", "clientCapabilities", "clientInfo")]


async def ask_for_lists(
    call: Call, include: Include, conversation: Conversation, headers: dict[str, str], clock: Callable[[], float]
) -> Lists:
    """All that the document wants of them. Raises a NetError or RpcError that names the server."""
    spec = include.spec

    async def ask(method: str, cursor: str | None) -> bytes:
        outcome = await conversation.request(
            method,
            _params(call, cursor),
            identifier=f"portico-{method}",
            deadline=clock() + spec.timeout,
            headers=headers,
        )
        return _result(spec, method, outcome)

    return await fetch(conversation.greeting, ask, include)


def who_asks(call: Call) -> bytes:
    """`_meta` of a request that is made for this client: without the progress, level and trace of its own one."""
    kept = members_of(members_of(call.raw or b"{}").get("_meta", b"{}"))
    return msgspec.json.encode({name: kept[name] for name in _NAMES if name in kept})


def _params(call: Call, cursor: str | None) -> bytes | None:
    found = {"_meta": msgspec.Raw(who_asks(call))} if call.modern else {}
    if cursor is not None:
        found["cursor"] = msgspec.Raw(msgspec.json.encode(cursor))
    return msgspec.json.encode(found) if found else None


def _result(spec: McpSpec, method: str, outcome: Outcome) -> bytes:
    if not outcome.is_error:
        return outcome.member.removeprefix(b'"result":')
    said = members_of(outcome.member.removeprefix(b'"error":')).get("message", b"nothing")
    text = bytes(said).decode("utf-8", "replace")[:300]
    raise RpcError(errors.INTERNAL_ERROR, f"{spec.name} answered {method} with an error: {text}")
