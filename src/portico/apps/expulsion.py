"""What principals have open who may not use its endpoint any more: a key that was revoked or expired, a token that
ran out, or an endpoint that became guarded after they came.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from portico.auth.principal import Principal
from portico.gateway.routing.endpoint import Endpoint
from portico.gateway.session.memory import Sessions
from portico.gateway.transport.event_stream import EventStream


def expel(endpoints: Mapping[str, Endpoint], sessions: Sessions, streams: Iterable[EventStream]) -> None:
    """End it. Calls under way still finish, and a session with some ends after them."""
    for session in sessions:
        if not session.calls and not may_stay(session.principal, endpoints.get(session.prefix)):
            sessions.end(session)
    for stream in streams:
        if stream.kind in ("listen", "standing") and not may_stay(stream.principal, endpoints.get(stream.prefix)):
            stream.expel()


def may_stay(principal: Principal | None, endpoint: Endpoint | None) -> bool:
    """Of an endpoint that is gone, others see to what is open."""
    if endpoint is None:
        return True
    if endpoint.guard is None:
        return principal is None
    return principal is not None and endpoint.guard.still(principal) is not None
