"""Objects taken apart by their members, each of which keeps its bytes."""

from __future__ import annotations

from typing import Any

import msgspec

from portico.upstream.mcp.upstream import Outcome

Members = dict[str, msgspec.Raw]
_decode = msgspec.json.Decoder(Members).decode
_BROKEN = (msgspec.MsgspecError, RecursionError, UnicodeDecodeError)
encode = msgspec.json.encode


def members_of(raw: bytes | msgspec.Raw | None) -> Members:
    """{} for what is no object, or is not there."""
    if raw is None:
        return {}
    try:
        return _decode(raw)
    except _BROKEN:
        return {}


def value_of(raw: bytes | msgspec.Raw | None) -> Any:
    """The value, or None where there is none."""
    if raw is None:
        return None
    try:
        return msgspec.json.decode(raw)
    except _BROKEN:
        return None


def raw(value: Any) -> msgspec.Raw:
    return msgspec.Raw(encode(value))


def body_of(outcome: Outcome) -> bytes:
    """The value of the one member that an outcome has."""
    return outcome.member.partition(b":")[2]


def result(found: Any) -> Outcome:
    return Outcome(b'"result":' + encode(found), False)


def error(code: int, message: str, data: Any = None) -> Outcome:
    return Outcome(error_member(code, message, data), True)


def error_member(code: int, message: str, data: Any = None) -> bytes:
    body = {"code": code, "message": message}
    return b'"error":' + encode(body if data is None else body | {"data": data})
