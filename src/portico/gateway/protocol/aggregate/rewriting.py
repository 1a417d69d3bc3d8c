"""Messages of an included server, with the names and URIs that stand in them changed on the way out and back.

Only what is changed is decoded; everything else keeps the bytes that its author wrote: numbers, unknown members, order
of members. Without a prefix no URI changes, and results pass as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from portico.gateway.routing.include import Alias, Include
from portico.gateway.routing.naming import public_uri
from portico.upstream.mcp.upstream import Outcome

Members = dict[str, msgspec.Raw]
_decode_members = msgspec.json.Decoder(Members).decode
_decode_list = msgspec.json.Decoder(list[msgspec.Raw]).decode
_encode = msgspec.json.encode
_BACKSLASH = ord("\\")


def members_of(raw: bytes | msgspec.Raw) -> Members:
    """The members of an object, each as it was written; {} for what is none."""
    try:
        return _decode_members(raw)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return {}


def text_of(raw: msgspec.Raw | None) -> str | None:
    if raw is None:
        return None
    try:
        return msgspec.json.decode(raw, type=str)
    except msgspec.MsgspecError:
        return None


# To the server --------------------------------------------------------------------------------------------------------


def params_in(raw: bytes | None, changes: Mapping[str, str]) -> bytes:
    """The params with these members set. One that stands there twice, or a second time with other capitals, which some
    servers would read, goes on once: what was judged is what the server sees."""
    return _encode(_set(members_of(raw or b"{}"), changes))


def renamed(raw: bytes, name: msgspec.Raw) -> bytes:
    """The params of a plain call under another name."""
    found = members_of(raw)
    found["name"] = name
    return _encode(found)


def reference_in(raw: bytes | None, key: str, value: str) -> bytes:
    """The params of a completion whose `ref` names something of the server's own."""
    found = members_of(raw or b"{}")
    reference = members_of(found.get("ref", b"{}"))
    return _encode(_set(found, {"ref": _set(reference, {key: value})}))


def _set(found: Members, changes: Mapping[str, Any]) -> Members:
    folded = {key.casefold() for key in changes}
    kept = {key: member for key, member in found.items() if key in changes or key.casefold() not in folded}
    return kept | {key: _raw(value) for key, value in changes.items()}


# From the server ------------------------------------------------------------------------------------------------------


def outcome_out(include: Include, outcome: Outcome) -> Outcome:
    """An answer with the URIs of its result, or of its error's data, in their public form."""
    if not include.prefix or not _may_mention(outcome.member):
        return outcome
    if outcome.is_error:
        found = members_of(outcome.member.removeprefix(b'"error":'))
        if "data" not in found:
            return outcome
        _change(found, "data", lambda raw: _uri(include, raw, "uri"))
        return Outcome(b'"error":' + _encode(found), True)
    return Outcome(b'"result":' + result_out(include, outcome.member.removeprefix(b'"result":')), False)


def result_out(include: Include, result: bytes) -> bytes:
    """A result with the URIs of its contents, content blocks and messages in their public form."""
    found = members_of(result)
    _change(found, "content", lambda raw: _each(raw, lambda block: _block(include, block)))
    _change(found, "contents", lambda raw: _each(raw, lambda one: _uri(include, one, "uri")))
    _change(found, "messages", lambda raw: _each(raw, lambda message: _message(include, message)))
    _change(found, "_meta", lambda raw: _meta(include, raw))
    return _encode(found) if found else result


def _may_mention(result: bytes) -> bool:
    """Whether a URI may stand in it. All members that have one end alike, unless they are written with escapes."""
    # From its end on it is found, or not, in half the time.
    return result.rfind(b'ri"') >= 0 or (_BACKSLASH in result and b"\\u" in result)


def tool_out(include: Include, tool: msgspec.Raw, name: str, alias: Alias) -> msgspec.Raw:
    """One entry of tools/list under its public name, with what the document says instead."""
    found = members_of(tool)
    found["name"] = _raw(name)
    _described(found, alias)
    if alias.args:
        _change(found, "inputSchema", lambda raw: _schema(raw, alias.args))
    if alias.annotations:
        kept = members_of(found.get("annotations", b"{}"))
        kept.update({key: msgspec.Raw(value) for key, value in alias.annotations.items()})
        found["annotations"] = _object(kept)
    if include.prefix:
        _change(found, "_meta", lambda raw: _meta(include, raw))
    return _object(found)


def prompt_out(prompt: msgspec.Raw, name: str, alias: Alias) -> msgspec.Raw:
    found = members_of(prompt)
    found["name"] = _raw(name)
    _described(found, alias)
    if alias.args:
        _change(found, "arguments", lambda raw: _each(raw, lambda one: _argument(one, alias.args)))
    return _object(found)


def resource_out(include: Include, resource: msgspec.Raw, key: str) -> msgspec.Raw:
    """An entry of resources/list (`uri`) or resources/templates/list (`uriTemplate`)."""
    if not include.prefix:
        return resource
    return _uri(include, resource, key)


def _described(found: Members, alias: Alias) -> None:
    if alias.title is not None:
        found["title"] = _raw(alias.title)
    if alias.description is not None:
        found["description"] = _raw(alias.description)


def _schema(raw: msgspec.Raw, args: Mapping[str, str]) -> msgspec.Raw:
    found = members_of(raw)
    properties = members_of(found.get("properties", b"{}"))
    for name, text in args.items():
        if name in properties:
            inner = members_of(properties[name])
            inner["description"] = _raw(text)
            properties[name] = _object(inner)
    if properties:
        found["properties"] = _object(properties)
    return _object(found)


def _argument(raw: msgspec.Raw, args: Mapping[str, str]) -> msgspec.Raw:
    found = members_of(raw)
    name = text_of(found.get("name"))
    if name is None or name not in args:
        return raw
    found["description"] = _raw(args[name])
    return _object(found)


def _message(include: Include, raw: msgspec.Raw) -> msgspec.Raw:
    found = members_of(raw)
    _change(found, "content", lambda content: _content(include, content))
    return _object(found) if found else raw


def _content(include: Include, raw: msgspec.Raw) -> msgspec.Raw:
    """One block, or a list of them."""
    if bytes(raw)[:1] == b"[":
        return _each(raw, lambda block: _block(include, block))
    return _block(include, raw)


def _block(include: Include, raw: msgspec.Raw) -> msgspec.Raw:
    found = members_of(raw)
    kind = text_of(found.get("type"))
    if kind == "resource_link":
        return _uri(include, raw, "uri")
    if kind == "resource":
        _change(found, "resource", lambda inner: _uri(include, inner, "uri"))
        return _object(found)
    if kind == "tool_result":
        _change(found, "content", lambda content: _content(include, content))
        return _object(found)
    return raw


def _meta(include: Include, raw: msgspec.Raw) -> msgspec.Raw:
    """Where a tool's user interface lies (MCP Apps): `ui.resourceUri`, and `ui/resourceUri` as it was before."""
    found = members_of(raw)
    if "ui" in found:
        _change(found, "ui", lambda inner: _uri(include, inner, "resourceUri"))
    return _uri(include, _object(found), "ui/resourceUri") if found else raw


def _uri(include: Include, raw: msgspec.Raw, key: str) -> msgspec.Raw:
    found = members_of(raw)
    uri = text_of(found.get(key))
    if uri is None:
        return raw
    found[key] = _raw(public_uri(include.prefix, uri))
    return _object(found)


def _change(found: Members, key: str, change: Callable[[msgspec.Raw], msgspec.Raw]) -> None:
    if key in found:
        found[key] = change(found[key])


def _each(raw: msgspec.Raw, change: Callable[[msgspec.Raw], msgspec.Raw]) -> msgspec.Raw:
    try:
        entries = _decode_list(raw)
    except (msgspec.MsgspecError, RecursionError):
        return raw
    return _raw([change(entry) for entry in entries])


def _object(found: Members) -> msgspec.Raw:
    return msgspec.Raw(_encode(found))


def _raw(value: Any) -> msgspec.Raw:
    return msgspec.Raw(_encode(value))
