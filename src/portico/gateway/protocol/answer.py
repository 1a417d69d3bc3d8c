"""A handler's members made into a whole response of the call's era."""

from __future__ import annotations

from portico.gateway.protocol.call import Call
from portico.wire.jsonrpc import encode_id, encode_result
from portico.wire.results import LEGACY_TAIL


def encode_answer(call: Call, members: bytes) -> bytes:
    """The whole response: the members of the result as a handler made them, and the tail of the call's era."""
    assert call.identifier is not None
    if not (members or call.modern):
        # Handshake revisions define EmptyResult as {}, and clients check it (specification 2025-11-25, utilities/ping).
        return encode_result(call.identifier, b"")
    tail = call.tail or (call.endpoint.modern_tail if call.modern else LEGACY_TAIL)
    comma = b"," if members else b""
    identifier, call_id = encode_id(call.identifier), call.call_id.encode()
    return b'{"jsonrpc":"2.0","id":%b,"result":{%b%b%b%b"}}}' % (identifier, members, comma, tail, call_id)


def cache_hints(call: Call) -> bytes:
    """Members that cacheable results of modern clients carry (specification 2026-07-28, utilities/caching)."""
    if not call.modern:
        return b""
    return b',"ttlMs":%d,"cacheScope":"%b"' % (call.endpoint.ttl_ms, call.endpoint.cache_scope.encode())
