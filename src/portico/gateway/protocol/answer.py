"""A handler's members made into a whole response of the call's era."""

from __future__ import annotations

from portico.gateway.protocol.call import Call
from portico.wire.jsonrpc import encode_id, encode_result
from portico.wire.results import LEGACY_TAIL


def encode_answer(call: Call, members: bytes) -> bytes:
    """The whole response: the members of the result as a handler made them, and the tail of the call's era."""
    # Joined, a long list is copied once.
    return b"".join(answer_pieces(call, members))


def answer_pieces(call: Call, members: bytes) -> tuple[bytes, ...]:
    """The same for who writes it piece by piece."""
    assert call.identifier is not None
    if not (members or call.modern):
        # Handshake revisions define EmptyResult as {}, and clients check it (specification 2025-11-25, utilities/ping).
        return (encode_result(call.identifier, b""),)
    tail = call.tail or (call.endpoint.modern_tail if call.modern else LEGACY_TAIL)
    comma = b"," if members else b""
    identifier, call_id = encode_id(call.identifier), call.call_id.encode()
    return b'{"jsonrpc":"2.0","id":%b,"result":{' % identifier, members, b'%b%b%b"}}}' % (comma, tail, call_id)


def cacheable(call: Call, members: bytes) -> bytes:
    """The members of a result that modern clients may keep: how long and for whom is in the tail (specification
    2026-07-28, utilities/caching)."""
    if call.modern:
        endpoint = call.endpoint
        tail = call.tail or endpoint.modern_tail
        call.tail = b'"ttlMs":%d,"cacheScope":"%b",%b' % (endpoint.ttl_ms, endpoint.cache_scope.encode(), tail)
    return members
