"""What the head of a request settles. A client says the same in the head of each of its requests, so that it is found
out once, and kept with the head (see ingress/known_heads.py)."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from portico.auth.principal import Principal
from portico.gateway.caller import Admitted
from portico.gateway.exchange import Reply, Request
from portico.gateway.protocol.aggregate.view import View
from portico.gateway.protocol.params import UNSET, Meta, Unset
from portico.gateway.routing.endpoint import Endpoint
from portico.gateway.routing.table import Door, Route
from portico.gateway.runtime.snapshot import Snapshot
from portico.gateway.session.session import Session
from portico.gateway.transport.conversation import Conversations, session_header, version_header
from portico.gateway.transport.media import media_of
from portico.gateway.transport.way import Way
from portico.wire import versions
from portico.wire.headers import decode_value
from portico.wire.plain_request import CALL, LIST

General = Callable[[Request], Coroutine[Any, Any, Reply]]
REJUDGED = 60.0
"""Seconds after which a credential in a head is judged anew, so that no lane outlives what its issuer says."""


class Lane:
    """Good as long as `snapshot` is served. `endpoint` is None where the head rules the short ways out. A modern head
    names method and tool, a legacy one the session. The credential is a part of the head, so that what one may use is
    never looked up for another."""

    __slots__ = (
        "able",
        "endpoint",
        "method",
        "name",
        "principal",
        "session",
        "snapshot",
        "until",
        "version",
        "view",
        "ways",
    )

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.endpoint: Endpoint | None = None
        self.version = ""
        self.method = b""
        self.name = ""
        self.session: str | None = None
        self.principal: Principal | None = None
        self.until = math.inf
        """When, by the event loop's clock, the credential in the head has to be judged anew."""
        self.ways: dict[str, Way] = {}
        """Where calls are relayed to, by the name of an included tool (see ways.py)."""
        self.view: Callable[[], View | None] = _no_view
        """What clients of these capabilities see of included servers; a weak reference, for views end before lanes."""
        self.able: Mapping[str, Any] = {}

    def agrees(self, method: bytes, name: str, meta: Meta | Unset) -> bool:
        """Whether a request wants nothing but its answer, and says what its head says. A list has no name."""
        if meta is UNSET:
            return self.session is not None
        if meta.progress_token is not UNSET or meta.log_level is not UNSET:
            return False
        if self.session is not None:
            return True
        says_the_same = name == self.name and method == self.method and meta.version == self.version
        return says_the_same and meta.capabilities is not UNSET


def lane_of(
    shared: Conversations, request: Request, snapshot: Snapshot, route: Route | None, admitted: Admitted | None
) -> Lane:
    """For a request that may ask: its Host is ours, it comes from no web page, and whose it is is known."""
    lane = Lane(snapshot)
    if route is None or admitted is None or route.door is not Door.MCP or request.method != "POST":
        return lane
    media, endpoint, version = media_of(request), admitted.endpoint, version_header(request)
    lane.principal = admitted.principal
    if admitted.principal is not None:
        now = shared.clock()
        lane.until = now + min(admitted.principal.until - time.time(), REJUDGED)
    # Whether a call is traced depends on more than its head.
    if media.refusal is not None or not media.json or shared.tracer is not None:
        return lane
    # A relayed call may have to be answered by a stream, and a limited one is not passed on as it came.
    if endpoint.relays and (not media.events or (endpoint.upstream is not None and endpoint.allowed is not None)):
        return lane
    if version is not None and versions.header_is_modern(version):
        _settle_modern(lane, endpoint, request, version.decode("latin-1"))
    else:
        _settle_legacy(lane, endpoint, request, version)
    return lane


def _settle_modern(lane: Lane, endpoint: Endpoint, request: Request, version: str) -> None:
    method, name = request.headers.get(b"mcp-method", b""), decode_value(request.headers.get(b"mcp-name", b""))
    # What a relayed endpoint speaks, its upstream says: see relay.py.
    offered = endpoint.offered if endpoint.upstream is None else versions.MODERN
    if name is not None and version in offered and method == (CALL if name else LIST):
        lane.endpoint, lane.version, lane.method, lane.name = endpoint, version, method, name


def _settle_legacy(lane: Lane, endpoint: Endpoint, request: Request, version: bytes | None) -> None:
    session = session_header(request)
    # As handshake._require_offered has it.
    if session and (version is None or version.decode("latin-1") >= endpoint.oldest):
        lane.endpoint, lane.session = endpoint, session


def plain_session(shared: Conversations, endpoint: Endpoint, lane: Lane, identifier: int | str) -> Session | None:
    """The session, if it is this worker's, wants to be told nothing and can take one more call of that id."""
    session = shared.sessions.find(lane.session or "", endpoint.prefix, lane.principal)
    if session is None or session.via_sse or session.level is not None:
        return None
    calls = session.calls
    return None if identifier in calls or len(calls) >= session.MOST_CALLS else session


def _no_view() -> None:
    return None


def reads_nothing(kind: str, name: str) -> str | None:
    """For calls that look at nothing of the client's request."""
    return None
