"""JSON-RPC 2.0 envelopes: bytes to messages and back.

Only the envelope is decoded; `params`, `result` and `error` stay raw until somebody acts on them. What msgspec would
let through or die of is refused here first: nesting beyond DEPTH, duplicate envelope keys, ids out of bounds.
"""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec

from portico.wire.errors import INVALID_REQUEST, PARSE_ERROR, RpcError

DEPTH = 64
BATCH = 20
ID_BYTES = 256
ID_INTEGER = 2**53

Id = int | str
UNSET = msgspec.UNSET


class Message(msgspec.Struct):
    """One envelope. A request has id and method, a notification method only, a response id and result or error."""

    jsonrpc: str
    id: int | str | msgspec.UnsetType | None = UNSET
    method: str | msgspec.UnsetType = UNSET
    params: msgspec.Raw | msgspec.UnsetType = UNSET
    result: msgspec.Raw | msgspec.UnsetType = UNSET
    error: msgspec.Raw | msgspec.UnsetType = UNSET

    @property
    def is_request(self) -> bool:
        return self.method is not UNSET and self.id is not UNSET

    @property
    def is_notification(self) -> bool:
        return self.method is not UNSET and self.id is UNSET


_one = msgspec.json.Decoder(Message)
_many = msgspec.json.Decoder(list[msgspec.Raw])
_encode = msgspec.json.encode

_STRUCTURE = re.compile(rb'"(?:[^"\\]|\\.)*"?|[\[{]|[\]}]', re.DOTALL)


def decode(body: bytes) -> Message:
    """One envelope, or RpcError with PARSE_ERROR or INVALID_REQUEST that says what is wrong."""
    check_depth(body)
    try:
        message = _one.decode(body)
    except msgspec.ValidationError as error:
        raise _not_json(body) or RpcError(INVALID_REQUEST, f"Not a JSON-RPC message: {error}") from None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise RpcError(PARSE_ERROR, f"The body is not JSON: {error}") from None
    _check(message, body)
    return message


def decode_batch(body: bytes) -> list[bytes]:
    """The raw members of a JSON array, at most BATCH and at least one (specification 2025-03-26, basic)."""
    check_depth(body)
    try:
        members = _many.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise RpcError(PARSE_ERROR, f"The body is not JSON: {error}") from None
    if not 1 <= len(members) <= BATCH:
        raise RpcError(INVALID_REQUEST, f"A batch holds 1 to {BATCH} messages; this one has {len(members)}.")
    return [bytes(member) for member in members]


def is_batch(body: bytes) -> bool:
    return body[:1] == b"[" or body.lstrip(b" \t\r\n")[:1] == b"["


def check_depth(body: bytes) -> None:
    """Refuse what is nested deeper than DEPTH, before any decoder recurses into it."""
    # The number of brackets bounds the depth from above and is counted in a fraction of a microsecond; only a body
    # with many of them is scanned for its true depth.
    if body.count(b"[") + body.count(b"{") <= DEPTH:
        return
    depth = 0
    for match in _STRUCTURE.finditer(body):
        token = match[0]
        if token in (b"[", b"{"):
            depth += 1
            if depth > DEPTH:
                raise RpcError(PARSE_ERROR, f"The body is nested deeper than {DEPTH} levels.")
        elif token in (b"]", b"}"):
            depth -= 1


def _not_json(body: bytes) -> RpcError | None:
    """msgspec stops at the first wrong type, so what follows may still be no JSON at all."""
    try:
        msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        return RpcError(PARSE_ERROR, f"The body is not JSON: {error}")
    return None


def _check(message: Message, body: bytes) -> None:
    if message.jsonrpc != "2.0":
        raise RpcError(INVALID_REQUEST, 'The member "jsonrpc" must be "2.0".')
    identifier, method, params = message.id, message.method, message.params
    # What an envelope of a plain call looks like is told by its quotes alone: each member and each string has two.
    quotes = 6 if type(identifier) is int else 8
    if type(identifier) is int:
        if not -ID_INTEGER <= identifier <= ID_INTEGER:
            raise RpcError(INVALID_REQUEST, "The id is beyond ±2^53, which not every peer can carry.")
    elif type(identifier) is str:
        if len(identifier) > ID_BYTES or len(identifier.encode()) > ID_BYTES:
            raise RpcError(INVALID_REQUEST, f"The id is longer than {ID_BYTES} bytes.")
    elif identifier is None and message.error is UNSET:
        raise RpcError(INVALID_REQUEST, "The id must be a string or an integer, not null.")
    if method is UNSET and message.result is UNSET and message.error is UNSET:
        raise RpcError(INVALID_REQUEST, "A message needs a method, a result or an error.")
    if params is UNSET or method is UNSET or identifier is UNSET:
        _check_duplicates(body)
        return
    raw = bytes(params)
    if raw[:1] not in b"{[":
        raise RpcError(INVALID_REQUEST, "The params must be an object.")
    # The params are a piece of the body; what is left of it is short.
    before, _, after = body.partition(raw)
    envelope = before + after
    if envelope.count(b'"') != quotes + 6 or b"\\" in envelope:
        _check_duplicates(body)


def _check_duplicates(body: bytes) -> None:
    """Refuse an envelope that has a member twice, of which msgspec keeps the last and somebody else the first."""
    last: list[list[str]] = []

    def collect(pairs: list[tuple[str, Any]]) -> None:
        last[:] = [[key for key, _ in pairs]]

    try:
        # Numbers stay texts, for Python refuses to read very long ones.
        json.loads(body, object_pairs_hook=collect, parse_int=str, parse_float=str)
    except ValueError as error:
        raise RpcError(PARSE_ERROR, f"The body is not JSON: {error}") from None
    keys = last[0] if last else []
    doubled = {key for key in keys if keys.count(key) > 1}
    if doubled:
        raise RpcError(INVALID_REQUEST, f"The envelope has these members twice: {', '.join(sorted(doubled))}.")


def encode_id(identifier: Id) -> bytes:
    return b"%d" % identifier if type(identifier) is int else _encode(identifier)


def encode_response(identifier: Id, member: bytes) -> bytes:
    """A response from one encoded member, `"result":…` or `"error":…`."""
    return b'{"jsonrpc":"2.0","id":%b,%b}' % (encode_id(identifier), member)


def encode_result(identifier: Id, members: bytes) -> bytes:
    """A response from the encoded members of its result object, written without their braces."""
    return b'{"jsonrpc":"2.0","id":%b,"result":{%b}}' % (encode_id(identifier), members)


def encode_error(identifier: Id | None, error: RpcError, call: str = "") -> bytes:
    """An error response; `call` becomes data.callId so that one search finds it in the log."""
    body: dict[str, Any] = {"code": error.code, "message": error.message}
    data = error.data
    if call and (data is None or isinstance(data, dict)):
        data = {**(data or {}), "callId": call}
    if data is not None:
        body["data"] = data
    return _encode({"jsonrpc": "2.0", "id": identifier, "error": body})


def encode_notification(method: str, params: Any = UNSET) -> bytes:
    if params is UNSET:
        return _encode({"jsonrpc": "2.0", "method": method})
    return _encode({"jsonrpc": "2.0", "method": method, "params": params})


def members(value: dict[str, Any]) -> bytes:
    """The members of an object, encoded without the braces, ready for encode_result."""
    return _encode(value)[1:-1]
