"""Which clients see an aggregate alike: a server cannot tell them apart, so that what it says to one holds for all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from portico.gateway.protocol.call import Call, ReadClient
from portico.gateway.protocol.params import able_of
from portico.gateway.routing.endpoint import Endpoint
from portico.gateway.session.session import Session

Audience = tuple[Any, ...]
_encode = msgspec.json.Encoder(order="sorted").encode


def audience(
    endpoint: Endpoint, version: str, session: Session | None, capabilities: Mapping[str, Any], read: ReadClient
) -> Audience:
    """Of one era, with the same capabilities and forwarded headers. Modern clients have no session."""
    aggregate = endpoint.aggregate
    assert aggregate is not None
    able = _encode(capabilities) if capabilities else b"{}"
    found: Audience = (endpoint.prefix, endpoint.allowed, session is None, version, able)
    for spec in aggregate.telling:
        found += tuple(read("headers", name) for name in spec.forward_headers)
        if spec.session == "perClient" and session is not None:
            found += (session.identifier,)
    return found


def audience_of(call: Call) -> Audience:
    return audience(call.endpoint, call.version, call.session, _capabilities(call), call.read_client)


def _capabilities(call: Call) -> Mapping[str, Any]:
    if call.session is not None:
        return call.session.capabilities
    return able_of(call.params.meta)
