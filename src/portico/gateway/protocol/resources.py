"""resources/list, resources/templates/list, resources/read, and the legacy resources/subscribe."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

import msgspec

from portico.gateway.protocol.answer import cacheable
from portico.gateway.protocol.call import Call
from portico.gateway.protocol.params import UNSET
from portico.gateway.protocol.tools import call_target, note
from portico.gateway.routing.catalog import Catalog, ToolEntry
from portico.wire import errors
from portico.wire.errors import RpcError

MOST_SUBSCRIPTIONS = 1_000


async def list_resources(call: Call) -> bytes:
    return _page(call, "resources/list")


async def list_templates(call: Call) -> bytes:
    return _page(call, "resources/templates/list")


def _page(call: Call, method: str) -> bytes:
    cursor = call.params.cursor
    page = call.endpoint.catalog.lists[method].page(call.modern, None if cursor is UNSET else cursor)
    return cacheable(call, page)


async def read_resource(call: Call) -> bytes:
    """Fixed content, or the answer of the tool behind the resource (specification 2026-07-28, server/resources)."""
    uri = call.params.needed("uri")
    call.name = uri[:256]
    catalog = call.endpoint.catalog
    entry = catalog.resources.get(uri)
    if entry is not None and entry.contents is not None:
        return cacheable(call, b'"contents":%b' % entry.contents)
    if entry is not None and entry.tool is not None:
        return await _from_tool(call, uri, entry.mime_type, entry.tool, {})
    for template in catalog.templates:
        match = template.pattern.fullmatch(uri)
        if match is not None:
            values = {name: unquote(match[f"v{index}"]) for index, name in enumerate(template.variables)}
            return await _from_tool(call, uri, template.mime_type, template.tool, values)
    raise not_found(call, uri)


def not_found(call: Call, uri: str) -> RpcError:
    code = errors.INVALID_PARAMS if call.modern else errors.RESOURCE_NOT_FOUND
    return RpcError(code, "Resource not found.", {"uri": uri[:2048]})


async def _from_tool(call: Call, uri: str, mime: str | None, tool: ToolEntry, values: dict[str, str]) -> bytes:
    arguments: dict[str, Any] = tool.coerce(values)
    if tool.fill is not None:
        arguments = tool.fill(arguments)
    if not tool.is_valid(arguments):
        raise RpcError(errors.INVALID_PARAMS, f"The URI does not fit: {tool.explain(arguments)}", {"uri": uri[:2048]})
    shaped = await call_target(call, tool, arguments)
    note(call, shaped)
    blocks = msgspec.json.decode(shaped.content)
    if shaped.is_error:
        if shaped.status == 404:
            raise not_found(call, uri)
        text = next((block["text"] for block in blocks if block.get("type") == "text"), "The tool failed.")
        raise RpcError(errors.INTERNAL_ERROR, f"{tool.name}: {text[:2000]}", {"uri": uri[:2048]})
    contents = [_content(uri, mime, block) for block in blocks]
    return cacheable(call, b'"contents":%b' % msgspec.json.encode(contents))


def _content(uri: str, mime: str | None, block: dict[str, Any]) -> dict[str, Any]:
    """A content block of a tool's answer as the content of a resource."""
    kind = block.get("type")
    inner = block.get("resource", {}) if kind == "resource" else block
    given = mime or inner.get("mimeType")
    content: dict[str, Any] = {"uri": uri}
    if given:
        content["mimeType"] = given
    if kind in ("image", "audio"):
        content["blob"] = block["data"]
    elif "blob" in inner:
        content["blob"] = inner["blob"]
    else:
        content["text"] = inner.get("text", "")
    return content


async def subscribe(call: Call) -> bytes:
    uri = call.params.needed("uri")
    session = call.session
    if not exists(call.endpoint.catalog, uri):
        raise not_found(call, uri)
    if session is not None:
        if len(session.subscriptions) >= MOST_SUBSCRIPTIONS:
            raise RpcError(errors.INVALID_PARAMS, f"A session has at most {MOST_SUBSCRIPTIONS} subscriptions.")
        session.subscriptions.add(uri)
    return b""


async def unsubscribe(call: Call) -> bytes:
    if call.session is not None:
        call.session.subscriptions.discard(call.params.needed("uri"))
    return b""


def exists(catalog: Catalog, uri: str) -> bool:
    return uri in catalog.resources or any(template.pattern.fullmatch(uri) for template in catalog.templates)
