"""JSON-RPC envelopes as they go to an upstream and come from it; what they carry stays as it was written.

Ids and tokens are rewritten where many share a connection: the members around them keep their bytes.
"""

from __future__ import annotations

import msgspec

from portico.upstream.mcp.upstream import Outcome
from portico.wire.jsonrpc import UNSET, Id, Message

SUBSCRIPTION = "io.modelcontextprotocol/subscriptionId"

_one = msgspec.json.Decoder(Message)
_many = msgspec.json.Decoder(list[msgspec.Raw])
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_encode = msgspec.json.encode
_BACKSLASH = ord("\\")
_BROKEN = (msgspec.MsgspecError, RecursionError, UnicodeDecodeError)


def request(identifier: Id, method: str, params: bytes | None) -> bytes:
    name = _encode(method)
    if params is None:
        return b'{"jsonrpc":"2.0","id":%b,"method":%b}' % (_encode(identifier), name)
    return b'{"jsonrpc":"2.0","id":%b,"method":%b,"params":%b}' % (_encode(identifier), name, params)


def call(identifier: Id, params: bytes) -> bytes:
    """A request to call a tool."""
    return b'{"jsonrpc":"2.0","id":%b,"method":"tools/call","params":%b}' % (_encode(identifier), params)


def notification(method: str, params: bytes | None) -> bytes:
    if params is None:
        return b'{"jsonrpc":"2.0","method":%b}' % _encode(method)
    return b'{"jsonrpc":"2.0","method":%b,"params":%b}' % (_encode(method), params)


def read(data: bytes) -> list[Message]:
    """The messages of one body, event or line: one, or those of a batch. ValueError where it is not JSON-RPC."""
    try:
        if data[:1] == b"[" or data.lstrip()[:1] == b"[":
            return [_checked(_one.decode(member)) for member in _many.decode(data)]
        return [_checked(_one.decode(data))]
    except _BROKEN as error:
        raise ValueError(str(error)) from None


def _checked(message: Message) -> Message:
    if message.jsonrpc != "2.0" or (message.method is UNSET and message.result is UNSET and message.error is UNSET):
        raise msgspec.ValidationError("neither a request, a notification nor a response of JSON-RPC 2.0")
    return message


def sole_outcome(data: bytes, identifier: Id) -> Outcome | None:
    """The end of that request, where that is what this text tells, and all that it tells."""
    try:
        message = _checked(_one.decode(data))
    except _BROKEN:
        return None
    return outcome(message) if message.method is UNSET and message.id == identifier else None


def outcome(message: Message) -> Outcome:
    """The end of a request that a response tells."""
    if message.error is not UNSET:
        return Outcome(b'"error":%b' % message.error, True)
    assert message.result is not UNSET
    return Outcome(b'"result":%b' % message.result, False)


def params_of(message: Message) -> bytes | None:
    return None if message.params is UNSET else bytes(message.params)


def mentions(text: bytes, name: bytes) -> bool:
    """Whether `name` may be a key in there; a key can also be spelled with escapes."""
    # To look for one byte costs a fifth of looking for two, and most texts have no escapes.
    return text.find(name) >= 0 or (_BACKSLASH in text and b"\\u" in text)


def swap_token(params: bytes | None, token: int) -> tuple[bytes | None, bytes | None]:
    """The params with `_meta.progressToken` replaced by ours, and the client's token; None where it has none."""
    if params is None or not mentions(params, b"progressToken"):
        return params, None
    try:
        top = _members.decode(params)
        meta = _members.decode(top["_meta"])
        found = meta["progressToken"]
    except (KeyError, *_BROKEN):
        return params, None
    meta["progressToken"] = msgspec.Raw(b"%d" % token)
    top["_meta"] = msgspec.Raw(_encode(meta))
    return _encode(top), bytes(found)


def number_at(text: bytes | None, *path: str) -> int | None:
    """The integer at that place, which is one of our own ids if anything."""
    try:
        for name in path:
            text = bytes(_members.decode(text or b"")[name])
        return int(text) if text is not None and text.isdigit() and len(text) < 18 else None
    except (KeyError, *_BROKEN):
        return None


def put(text: bytes, value: bytes, *path: str) -> bytes:
    """The object with what stands at that place replaced; it must be there."""
    members = _members.decode(text)
    name, *rest = path
    members[name] = msgspec.Raw(put(bytes(members[name]), value, *rest) if rest else value)
    return _encode(members)


def with_value(message: Message, value: bytes, *path: str) -> msgspec.Raw:
    """The params of a message with another value at that place, where there is one already."""
    return msgspec.Raw(put(bytes(message.params), value, *path) if message.params is not UNSET else b"{}")


def code(outcome: Outcome) -> int | None:
    """The code of an error."""
    try:
        return msgspec.json.decode(outcome.member.partition(b":")[2], type=_Error).code if outcome.is_error else None
    except _BROKEN:
        return None


def message(outcome: Outcome) -> str:
    """What an error says."""
    try:
        return msgspec.json.decode(outcome.member.partition(b":")[2], type=_Error).message
    except _BROKEN:
        return ""


class _Error(msgspec.Struct):
    code: int | None = None
    message: str = ""
