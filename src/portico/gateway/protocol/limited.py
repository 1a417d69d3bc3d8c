"""What a caller who may use some tools only may ask of an MCP server that an endpoint relays to.

What is on offer, only the server knows, so names are judged as they pass: those that are not allowed do not exist.
Beside tools nothing of the server is theirs (see routing/narrowing.py), and a method that is not known here might be
about anything.
"""

from __future__ import annotations

import msgspec

from portico.config.patterns import Patterns
from portico.gateway.protocol.call import Call
from portico.gateway.protocol.params import Filter
from portico.gateway.routing.narrowing import only_allowed
from portico.wire import errors
from portico.wire.errors import RpcError

_EMPTY = {
    "prompts/list": b'"prompts":[]',
    "resources/list": b'"resources":[]',
    "resources/templates/list": b'"resourceTemplates":[]',
}
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_PASSED = frozenset(("initialize", "ping", "logging/setLevel", "server/discover", "tools/list", "subscriptions/listen"))


def judge_limited(call: Call, allowed: Patterns) -> bytes | None:
    """None where the server may be asked, a member that answers in its place, or RpcError."""
    method, params = call.method, call.params
    if method in _EMPTY:
        hints = b',"resultType":"complete","ttlMs":0,"cacheScope":"private"' if call.modern else b""
        return b'"result":{%b%b}' % (_EMPTY[method], hints)
    if method == "tools/call":
        name = params.needed("name")
        if not allowed.admits(name):
            raise RpcError(errors.INVALID_PARAMS, f"Unknown tool: {name[:128]}.")
        call.raw = _one_name(call.raw or b"{}")
    elif method == "prompts/get":
        raise RpcError(errors.INVALID_PARAMS, f"Unknown prompt: {params.needed('name')[:128]}.")
    elif method in ("resources/read", "resources/subscribe", "resources/unsubscribe"):
        code = errors.INVALID_PARAMS if call.modern else errors.RESOURCE_NOT_FOUND
        raise RpcError(code, "Resource not found.", {"uri": params.needed("uri")[:2048]})
    elif method == "completion/complete":
        raise RpcError(errors.INVALID_PARAMS, "There is no such prompt or resource template.")
    elif method not in _PASSED:
        raise RpcError(errors.METHOD_NOT_FOUND, f"Method not found: {method[:128]}.")
    elif method == "subscriptions/listen":
        wanted = params.needed("notifications")
        call.raw = _with(call.raw or b"{}", "notifications", Filter(tools_list_changed=wanted.tools_list_changed))
    return None


def limited(call: Call, member: bytes, allowed: Patterns) -> bytes:
    """The member that the server answered with, as far as it is this caller's; RpcError where that cannot be told."""
    if call.method != "tools/list":
        return member
    try:
        return b'"result":%b' % only_allowed(member.partition(b":")[2], allowed)
    except ValueError as error:
        raise RpcError(
            errors.INTERNAL_ERROR, f"The server behind this endpoint did not answer well: {error}."
        ) from None


def _one_name(params: bytes) -> bytes:
    """The params with one name in them, which is the one that was judged: of a member that is there twice, or spelled
    with other capitals, a server might take the other."""
    members = _members.decode(params)
    if sum(key.casefold() == "name" for key in members) != 1:
        raise RpcError(errors.INVALID_PARAMS, "The params have `name` more than once.")
    return msgspec.json.encode(members)


def _with(params: bytes, name: str, value: object) -> bytes:
    members = _members.decode(params)
    kept = {key: member for key, member in members.items() if key.casefold() != name.casefold()}
    return msgspec.json.encode(kept | {name: value})
