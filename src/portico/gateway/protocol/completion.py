"""completion/complete: suggestions for arguments of prompts and variables of resource templates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from portico.gateway.protocol.call import Call
from portico.wire import errors
from portico.wire.errors import RpcError
from portico.wire.jsonrpc import members

MOST = 100


async def complete(call: Call) -> bytes:
    """Values that begin with what was typed come first, then those that contain it (utilities/completion)."""
    reference, argument = call.params.needed("ref"), call.params.needed("argument")
    suggestions = _suggestions(call, reference.type, reference.name, reference.uri)
    typed = argument.value.lower()
    known = suggestions.get(argument.name, ())
    first = [value for value in known if value.lower().startswith(typed)]
    then = [value for value in known if typed in value.lower() and value not in first]
    values = first + then
    result = {"values": values[:MOST], "total": len(values), "hasMore": len(values) > MOST}
    return members({"completion": result})


def _suggestions(call: Call, kind: str, name: object, uri: object) -> Mapping[str, Sequence[str]]:
    catalog = call.endpoint.catalog
    if kind == "ref/prompt" and isinstance(name, str):
        if name in catalog.prompts:
            return catalog.prompts[name].suggestions
        raise RpcError(errors.INVALID_PARAMS, f"Unknown prompt: {name[:128]}.")
    if kind == "ref/resource" and isinstance(uri, str):
        for template in catalog.templates:
            if template.uri_template == uri:
                return template.suggestions
        if uri in catalog.resources:
            return {}
        raise RpcError(errors.INVALID_PARAMS, f"Unknown resource template: {uri[:512]}.")
    raise RpcError(errors.INVALID_PARAMS, "The ref must be a ref/prompt with a name or a ref/resource with a uri.")
