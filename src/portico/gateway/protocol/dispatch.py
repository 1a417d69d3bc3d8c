"""The one list of methods, and the one place where an exception becomes a JSON-RPC error."""

from __future__ import annotations

import logging
from asyncio import CancelledError
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from portico.gateway.protocol import completion, lifecycle, prompts, resources, tools
from portico.gateway.protocol.answer import encode_answer
from portico.gateway.protocol.call import Call
from portico.gateway.protocol.params import UNSET, decode_loosely, decode_params
from portico.wire import errors
from portico.wire.errors import RpcError
from portico.wire.jsonrpc import Message, encode_error

log = logging.getLogger("portico.call")


@dataclass(slots=True)
class Answer:
    """An encoded response, the HTTP status it has when it travels alone, and a bounded word for log and metrics.

    `retry_after` is in seconds; 0 where trying again would not help.
    """

    body: bytes
    status: int
    outcome: str
    retry_after: int = 0


@dataclass(frozen=True, slots=True)
class Method:
    """A request that we answer. `mirrored` is the member that `Mcp-Name` repeats; `admit_modern` raises what a modern
    client must mend first; `without_session` may come before a session exists; `opens_session` begins one; `listens`
    is answered by a stream that stays open; before a `quiet` one is answered, no upstream says anything."""

    handle: Callable[[Call], Awaitable[bytes | Answer]] | None
    legacy: bool = True
    modern: bool = True
    mirrored: str | None = None
    admit_modern: Callable[[Call], None] | None = None
    without_session: bool = False
    opens_session: bool = False
    listens: bool = False
    quiet: bool = False


METHODS: Mapping[str, Method] = {
    "initialize": Method(lifecycle.initialize, modern=False, without_session=True, opens_session=True),
    "ping": Method(lifecycle.ping, modern=False, without_session=True),
    "logging/setLevel": Method(lifecycle.set_level, modern=False),
    "server/discover": Method(lifecycle.discover, legacy=False),
    "tools/list": Method(tools.list_tools),
    "tools/call": Method(tools.call_tool, mirrored="name", admit_modern=tools.admit_modern),
    "prompts/list": Method(prompts.list_prompts),
    "prompts/get": Method(prompts.get_prompt, mirrored="name"),
    "resources/list": Method(resources.list_resources),
    "resources/templates/list": Method(resources.list_templates),
    "resources/read": Method(resources.read_resource, mirrored="uri"),
    "resources/subscribe": Method(resources.subscribe, modern=False),
    "resources/unsubscribe": Method(resources.unsubscribe, modern=False),
    "completion/complete": Method(completion.complete),
    "subscriptions/listen": Method(None, legacy=False, listens=True),
}

NOTIFICATIONS: Mapping[str, Callable[[Call], None]] = {
    "notifications/initialized": lifecycle.nothing,
    "notifications/cancelled": lifecycle.cancelled,
    "notifications/roots/list_changed": lifecycle.nothing,
    "notifications/progress": lifecycle.nothing,
}


def find_method(name: str, modern: bool) -> Method:
    """The method that answers, or RpcError with METHOD_NOT_FOUND."""
    method = METHODS.get(name)
    if method is None or not (method.modern if modern else method.legacy):
        era = "stateless (2026-07-28)" if modern else "handshake"
        raise RpcError(errors.METHOD_NOT_FOUND, f"Method not found: {name[:128]} is not one of the {era} revisions.")
    return method


def open_call(call: Call, message: Message) -> None:
    """Note what the call is about, decode its params, or RpcError, and begin its trace if it is to have one."""
    call.identifier = message.id if isinstance(message.id, int | str) else None
    call.method = str(message.method)
    try:
        if not call.endpoint.relays:
            call.params = decode_params(message.params)
        else:
            call.params = decode_loosely(message.params)
            call.raw = bytes(message.params) if message.params is not UNSET else None
    finally:
        if call.tracer is not None and message.is_request:
            call.trace = call.tracer.begin(call)


async def dispatch(call: Call, method: Method) -> Answer:
    """Answer a request. Never raises but for a cancellation that is not the client's."""
    assert method.handle is not None
    try:
        members = await method.handle(call)
    except (RpcError, CancelledError) as error:
        return ended(call, error)
    except Exception:
        log.exception("call %s: %s failed", call.call_id, call.method)
        return broken(call)
    if isinstance(members, Answer):
        return members
    return Answer(encode_answer(call, members), 200, call.asked or "ok")


def ended(call: Call, error: RpcError | CancelledError) -> Answer:
    """The answer to a call that ended before its time. A cancellation that is not the client's is raised again."""
    if isinstance(error, RpcError):
        return failure(call, error)
    if not call.cancelled:
        raise error
    return failure(call, RpcError(errors.CANCELLED, "The call was cancelled by the client."), "cancelled")


def broken(call: Call) -> Answer:
    return failure(call, RpcError(errors.INTERNAL_ERROR, "Internal error; the gateway's log has the call's id."))


def failure(call: Call, error: RpcError, outcome: str | None = None) -> Answer:
    body = encode_error(call.identifier, error, call.call_id)
    status = error.http_status(call.modern)
    return Answer(body, status, outcome or f"error {error.code}", error.retry_after)


def notice(call: Call) -> None:
    """Take a notification; one that we do not know is ignored, as JSON-RPC has it."""
    handler = NOTIFICATIONS.get(call.method)
    if handler is not None:
        handler(call)
