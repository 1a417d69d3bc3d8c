"""prompts/list and prompts/get."""

from __future__ import annotations

from portico.gateway.protocol.answer import cacheable
from portico.gateway.protocol.call import Call
from portico.gateway.protocol.params import UNSET
from portico.gateway.protocol.tools import suggestion
from portico.wire import errors
from portico.wire.errors import RpcError
from portico.wire.jsonrpc import members


async def list_prompts(call: Call) -> bytes:
    cursor = call.params.cursor
    page = call.endpoint.catalog.lists["prompts/list"].page(call.modern, None if cursor is UNSET else cursor)
    return cacheable(call, page)


async def get_prompt(call: Call) -> bytes:
    """Fill the prompt's templates with the arguments (specification 2026-07-28, server/prompts)."""
    name = call.params.needed("name")
    prompts = call.endpoint.catalog.prompts
    entry = prompts.get(name)
    if entry is None:
        raise RpcError(errors.INVALID_PARAMS, f"Unknown prompt: {name[:128]}.{suggestion(name, prompts)}")
    call.name = name
    arguments = call.params.arguments or {}
    missing = sorted(entry.required - arguments.keys())
    if missing:
        raise RpcError(errors.INVALID_PARAMS, f"The prompt {name} needs the arguments {', '.join(missing)}.")
    unknown = sorted(key for key in arguments if key not in entry.arguments)
    if unknown:
        known = ", ".join(sorted(entry.arguments)) or "none"
        raise RpcError(errors.INVALID_PARAMS, f"The prompt {name} has no argument {unknown[0][:64]}; it knows {known}.")
    wrong = sorted(key for key, value in arguments.items() if not isinstance(value, str))
    if wrong:
        raise RpcError(errors.INVALID_PARAMS, f"Arguments of prompts are strings; {wrong[0]} is not.")
    # An optional argument that was not given is an empty text, so that a prompt never speaks of what is missing.
    full = {**dict.fromkeys(entry.arguments, ""), **arguments}
    result: dict[str, object] = {"messages": entry.messages({"args": full})}
    if entry.description is not None:
        result["description"] = entry.description
    return members(result)
