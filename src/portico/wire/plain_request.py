"""Requests for tools as SDKs write them, told apart without decoding the envelope: the short ways take no others.

What the params are is not looked at. Where they turn out to be one JSON object and nothing else, the envelope has its
four members and none of them twice.
"""

from __future__ import annotations

import re

from portico.wire.jsonrpc import DEPTH, Id

CALL, LIST = b"tools/call", b"tools/list"

PlainRequest = tuple[bytes, Id, bytes]
"""Method (CALL or LIST), id and raw params."""

_IDENTIFIER = rb'(0|[1-9][0-9]{0,14}|"[A-Za-z0-9_.:-]{1,64}")'
_METHOD = rb'"method": ?"(tools/call|tools/list)"'
_USUAL = re.compile(rb'\{"jsonrpc": ?"2\.0", ?"id": ?%b, ?%b(, ?"params": ?|\}\Z)' % (_IDENTIFIER, _METHOD)).match
# The TypeScript SDK writes first what its caller said, and no spaces.
_CALLERS_FIRST = re.compile(rb'\{%b(,"params":)?' % _METHOD).match
_END = b',"jsonrpc":"2.0","id":'
_LAST_IDENTIFIER = re.compile(rb"%b\}" % _IDENTIFIER).fullmatch
_NO_PARAMS = b"{}"
_BRACE, _BRACKET, _QUOTE = b'}["'


def plain_request(body: bytes) -> PlainRequest | None:
    """None for any other message, which may be as good: jsonrpc.decode() judges it."""
    found = _USUAL(body)
    if found is None:
        return _callers_first(body)
    if body[-1] != _BRACE or _may_be_deep(body):
        return None
    identifier, method, before = found.groups()
    return method, _read(identifier), _NO_PARAMS if before == b"}" else body[found.end() : -1]


def _callers_first(body: bytes) -> PlainRequest | None:
    found, end = _CALLERS_FIRST(body), body.rfind(_END)
    if found is None or end < found.end() or _may_be_deep(body):
        return None
    last, params = _LAST_IDENTIFIER(body, end + len(_END)), body[found.end() : end]
    if last is None or (params and not found[2]):
        return None
    return found[1], _read(last[1]), params if found[2] else _NO_PARAMS


def _may_be_deep(body: bytes) -> bool:
    # To look for one byte costs a tenth of counting it.
    return body.count(b"{") + (body.count(b"[") if _BRACKET in body else 0) > DEPTH


def _read(identifier: bytes) -> Id:
    return int(identifier) if identifier[0] != _QUOTE else identifier[1:-1].decode()
