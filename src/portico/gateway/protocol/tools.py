"""tools/list and tools/call."""

from __future__ import annotations

import difflib
from collections.abc import Awaitable, Iterable, Mapping
from typing import Any

from portico.gateway.protocol.answer import cacheable
from portico.gateway.protocol.call import Call
from portico.gateway.protocol.params import UNSET
from portico.gateway.routing.catalog import Shaped, ToolEntry
from portico.wire import errors
from portico.wire.errors import RpcError
from portico.wire.headers import decode_value, matches
from portico.wire.jsonrpc import encode_notification, members


async def list_tools(call: Call) -> bytes:
    cursor = call.params.cursor
    page = call.endpoint.catalog.lists["tools/list"].page(call.modern, None if cursor is UNSET else cursor)
    return cacheable(call, page)


def admit_modern(call: Call) -> None:
    """What a modern client has to mend before its call begins; found later, a stream would already say 200."""
    name, arguments = call.params.name, call.params.arguments
    entry = call.endpoint.catalog.tools.get(name) if isinstance(name, str) else None
    if entry is None:
        return
    if entry.requires:
        check_capabilities(call, entry)
    if entry.mirrors:
        check_mirrors(call, entry, arguments if arguments else {})


async def call_tool(call: Call) -> bytes:
    """Validate, call, and splice what came back into the result (specification 2026-07-28, server/tools)."""
    params = call.params
    name = params.needed("name")
    entry = call.endpoint.catalog.tools.get(name)
    if entry is None:
        raise RpcError(errors.INVALID_PARAMS, f"Unknown tool: {name[:128]}.{suggestion(name, _names(call))}")
    call.name = name
    arguments = params.arguments if params.arguments else {}
    if entry.fill is not None:
        arguments = entry.fill(arguments)
    if not entry.is_valid(arguments):
        return _refuse(call, entry, arguments)
    return result_members(call, await call_target(call, entry, arguments))


def call_target(call: Call, entry: ToolEntry, arguments: dict[str, Any]) -> Awaitable[Shaped]:
    """The tool's answer, to be awaited; a client that wants log messages is told what happens meanwhile."""
    session = call.session.identifier if call.session is not None else None
    answer = entry.target.call(arguments, client_values(call, entry), session, call.deadline, call.trace)
    return answer if call.notify is None or not call.wants_log("info") else _telling(call, entry, answer)


async def _telling(call: Call, entry: ToolEntry, answer: Awaitable[Shaped]) -> Shaped:
    tell(call, "info", f"Calling {entry.name}.")
    shaped = await answer
    if shaped.sent:
        tell(call, "info", f"{shaped.sent} was answered with {shaped.status or 'nothing'}.")
    outcome = "an error" if shaped.is_error else "an answer"
    tell(call, "error" if shaped.is_error else "info", f"{entry.name} ended with {outcome}. {shaped.why}".rstrip())
    return shaped


def tell(call: Call, level: str, text: str) -> None:
    """A log message for this call's client (specification 2026-07-28, utilities/logging)."""
    if call.notify is not None and call.wants_log(level):
        data = {"message": text, "callId": call.call_id}
        params = {"level": level, "logger": call.endpoint.title, "data": data}
        call.notify(encode_notification("notifications/message", params))


def note(call: Call, shaped: Shaped) -> None:
    """Keep for the log how the call ended."""
    call.asked = "tool error" if shaped.is_error else "ok"
    sent, why = shaped.sent, shaped.why
    if sent:
        call.detail = f"{sent} -> {shaped.status or 'none'} {why}".rstrip() if why else f"{sent} -> {shaped.status}"
    else:
        call.detail = why


def client_values(call: Call, entry: ToolEntry) -> dict[str, dict[str, str]]:
    """What the tool's templates read of this client's request, and nothing else of it."""
    values: dict[str, dict[str, str]] = {}
    for kind, name in entry.target.request_reads:
        value = call.read_client(kind, name)
        if value is not None:
            values.setdefault(kind, {})[name] = value
    return values


def _refuse(call: Call, entry: ToolEntry, arguments: dict[str, Any]) -> bytes:
    """A result that tells the model what to correct.

    Invalid input is an answer of the tool, not a protocol error, so that a model can mend its call
    (specification 2025-11-25 and later, server/tools: Error Handling).
    """
    call.asked = "invalid arguments"
    text = f"Invalid arguments for {entry.name}: {entry.explain(arguments)}"
    return members({"content": [{"type": "text", "text": text}], "isError": True})


def result_members(call: Call, shaped: Shaped) -> bytes:
    note(call, shaped)
    error = b"true" if shaped.is_error else b"false"
    structured = shaped.structured
    # Legacy revisions know objects only as structured content.
    if structured is None or (not call.modern and structured[:1] != b"{"):
        return b'"content":%b,"isError":%b' % (shaped.content, error)
    return b'"content":%b,"structuredContent":%b,"isError":%b' % (shaped.content, structured, error)


def check_capabilities(call: Call, entry: ToolEntry) -> None:
    """The client must have declared what the tool requires of it (specification 2026-07-28, basic)."""
    meta = call.params.meta
    declared = {} if meta is UNSET or meta.capabilities is UNSET else meta.capabilities
    missing = lacking(entry.requires, declared)
    if missing:
        raise RpcError(
            errors.MISSING_CAPABILITY,
            f"{entry.name} needs the client capabilities {', '.join(sorted(missing))}, which were not declared.",
            {"requiredCapabilities": missing},
        )


def lacking(required: Mapping[str, Any], declared: Mapping[str, Any]) -> dict[str, Any]:
    """The part of `required` that `declared` does not have, in the same shape."""
    found: dict[str, Any] = {}
    for name, inner in required.items():
        given = declared.get(name)
        if not isinstance(given, dict):
            found[name] = inner
        elif isinstance(inner, dict) and (deeper := lacking(inner, given)):
            found[name] = deeper
    return found


def check_mirrors(call: Call, entry: ToolEntry, arguments: dict[str, Any]) -> None:
    """Each annotated argument and its `Mcp-Param-*` header must agree (specification 2026-07-28, streamable HTTP)."""
    for mirror in entry.mirrors:
        value: Any = arguments
        for key in mirror.path:
            value = value.get(key) if isinstance(value, dict) else None
        raw = call.read_client("headers", mirror.header.decode())
        name = mirror.header.decode().title()
        if value is None:
            if raw is not None:
                raise RpcError(errors.HEADER_MISMATCH, f"Header mismatch: {name} is sent, but its argument is not.")
            continue
        if raw is None:
            raise RpcError(
                errors.HEADER_MISMATCH,
                f"Header mismatch: {name} is missing; the argument {'.'.join(mirror.path)} must be mirrored in it.",
            )
        text = decode_value(raw.encode("latin-1", "replace"))
        if text is None or not matches(text, value):
            raise RpcError(
                errors.HEADER_MISMATCH,
                f"Header mismatch: {name} does not match the argument {'.'.join(mirror.path)}.",
            )


def suggestion(name: str, known: Iterable[str]) -> str:
    """A hint for a mistyped name, or the empty string."""
    near = difflib.get_close_matches(name[:128], list(known)[:500], n=1)
    return f" Did you mean {near[0]}?" if near else ""


def _names(call: Call) -> Iterable[str]:
    return call.endpoint.catalog.tools
