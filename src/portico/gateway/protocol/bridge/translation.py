"""What results, errors, greetings and `_meta` of one era are in the other. Pure; what stays keeps its bytes."""

from __future__ import annotations

from functools import lru_cache

import msgspec

from portico.gateway.protocol.bridge.members import Members, body_of, encode, members_of, raw, value_of
from portico.upstream.mcp.upstream import Outcome
from portico.wire import errors, versions

_NAME = "io.modelcontextprotocol/"
VERSION, CAPABILITIES = f"{_NAME}protocolVersion", f"{_NAME}clientCapabilities"
CLIENT, LEVEL, SERVER = f"{_NAME}clientInfo", f"{_NAME}logLevel", f"{_NAME}serverInfo"
_OF_REQUESTS = (VERSION, CAPABILITIES, CLIENT, LEVEL)
_OF_MODERN_RESULTS = ("resultType", "ttlMs", "cacheScope")
_COMPLETE = msgspec.Raw(b'"complete"')
_CACHED = frozenset(
    ("tools/list", "prompts/list", "resources/list", "resources/templates/list", "resources/read", "server/discover")
)
_ABOUT_A_RESOURCE = frozenset(("resources/read", "resources/subscribe", "resources/unsubscribe"))


# For modern clients of legacy servers ---------------------------------------------------------------------------------


@lru_cache(256)
def discovery(greeting: bytes, oldest: str, hints: bytes) -> bytes:
    """The result of `server/discover` that an `initialize` result stands for."""
    found = members_of(greeting)
    kept = {name: found[name] for name in ("capabilities", "instructions") if name in found}
    kept.setdefault("capabilities", msgspec.Raw(b"{}"))
    head = {"supportedVersions": versions.supported(oldest), "resultType": "complete", **kept}
    meta = members_of(found.get("_meta"))
    if "serverInfo" in found:
        meta[SERVER] = found["serverInfo"]
    return encode({**head, "_meta": meta})[:-1] + hints + b"}"


@lru_cache(256)
def identity_of(greeting: bytes) -> msgspec.Raw | None:
    """Who a legacy server said that it is, for `_meta` of every result."""
    found = members_of(members_of(greeting).get("serverInfo"))
    kept = {name: found[name] for name in ("name", "title", "version") if name in found}
    return raw(kept) if kept else None


def without_protocol(params: bytes | None) -> tuple[bytes | None, Members]:
    """Params as a legacy server knows them, and the members of `_meta` that were in them."""
    found = members_of(params)
    meta = members_of(found.pop("_meta", None))
    kept = {name: value for name, value in meta.items() if name not in _OF_REQUESTS}
    found.pop("inputResponses", None)
    found.pop("requestState", None)
    if kept:
        found["_meta"] = raw(kept)
    return (encode(found) if found else None), meta


def modern_outcome(method: str, outcome: Outcome, server: msgspec.Raw | None, hints: bytes) -> Outcome:
    """A legacy answer with what modern ones carry."""
    if outcome.is_error:
        return _recoded(outcome, errors.RESOURCE_NOT_FOUND, errors.INVALID_PARAMS)
    body = body_of(outcome)
    tail = hints if method in _CACHED else b""
    stripped = body.strip()
    if stripped[:1] == b"{" and _has_nothing_to_translate(body):
        inner = stripped[1:-1]
        head = b'"result":{"resultType":"complete"' + (
            b',"_meta":{"%b":%b}' % (SERVER.encode(), server) if server else b""
        )
        return Outcome(head + tail + (b"," + inner if inner.strip() else b"") + b"}", False)
    found = members_of(body)
    meta = members_of(found.pop("_meta", None))
    if server is not None:
        meta[SERVER] = server
    for name in _OF_MODERN_RESULTS:
        found.pop(name, None)
    inner = encode({"resultType": _COMPLETE, **found, "_meta": meta})[:-1]
    return Outcome(b'"result":' + inner + tail + b"}", False)


def _has_nothing_to_translate(body: bytes) -> bool:
    return (
        b'"_meta"' not in body
        and b'"resultType"' not in body
        and b'"ttlMs"' not in body
        and b'"cacheScope"' not in body
        and b"\\u" not in body
    )


# For legacy clients of modern servers ---------------------------------------------------------------------------------


def greeting(discovered: bytes, version: str) -> bytes:
    """The result of `initialize` that a `server/discover` result stands for."""
    found = members_of(discovered)
    capabilities = members_of(found.get("capabilities"))
    # Levels are ours to keep for a client of this era, and are said in each request.
    capabilities.setdefault("logging", msgspec.Raw(b"{}"))
    capabilities.pop("extensions", None)
    server = members_of(found.get("_meta")).get(SERVER) or raw({"name": "unnamed", "version": "0"})
    result: dict[str, object] = {"protocolVersion": version, "capabilities": capabilities, "serverInfo": server}
    if "instructions" in found:
        result["instructions"] = found["instructions"]
    return encode(result)


def who_asks(capabilities: bytes, client: bytes) -> Members:
    """The members of `_meta` that every modern request carries."""
    return {
        VERSION: raw(versions.MODERN[0]),
        CAPABILITIES: msgspec.Raw(capabilities),
        CLIENT: msgspec.Raw(client),
    }


def legacy_outcome(method: str, outcome: Outcome, found: Members) -> Outcome:
    """A modern answer, whose result's members are `found`, as legacy clients know it."""
    if outcome.is_error:
        if method in _ABOUT_A_RESOURCE:
            return _recoded(outcome, errors.INVALID_PARAMS, errors.RESOURCE_NOT_FOUND)
        return outcome
    for name in _OF_MODERN_RESULTS:
        found.pop(name, None)
    meta = members_of(found.get("_meta"))
    if meta.pop(SERVER, None) is not None:
        if meta:
            found["_meta"] = raw(meta)
        else:
            del found["_meta"]
    structured = found.get("structuredContent")
    if structured is not None and not bytes(structured).startswith(b"{"):
        del found["structuredContent"]
    if method == "tools/list" and "tools" in found and b"outputSchema" in bytes(found["tools"]):
        found["tools"] = _with_object_schemas(found["tools"])
    return Outcome(b'"result":' + encode(found), False)


def _with_object_schemas(tools: msgspec.Raw) -> msgspec.Raw:
    """Legacy clients refuse the whole list for one output schema that is not that of an object."""
    try:
        listed = msgspec.json.decode(tools, type=list[Members])
    except (msgspec.MsgspecError, RecursionError):
        return tools
    for tool in listed:
        if "outputSchema" in tool and value_of(members_of(tool["outputSchema"]).get("type")) != "object":
            del tool["outputSchema"]
    return raw(listed)


def _recoded(outcome: Outcome, code: int, other: int) -> Outcome:
    found = members_of(body_of(outcome))
    if value_of(found.get("code")) != code:
        return outcome
    found["code"] = raw(other)
    return Outcome(b'"error":' + encode(found), True)
