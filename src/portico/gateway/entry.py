"""The front door: take a snapshot, match the path, admit the caller, pick the transport."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from portico.auth.principal import Guard, Refused
from portico.gateway.caller import Admitted, admit
from portico.gateway.caller import known as known_caller
from portico.gateway.challenge import challenge, explanation, metadata
from portico.gateway.exchange import JSON, Reply, Request, text_reply
from portico.gateway.origin import HostRules, cors_headers, preflight
from portico.gateway.page import endpoint_page
from portico.gateway.routing.endpoint import Endpoint
from portico.gateway.routing.table import Door, Route
from portico.gateway.runtime.live import Live
from portico.gateway.runtime.snapshot import Snapshot
from portico.gateway.transport.lane import Lane
from portico.gateway.transport.legacy_sse import LegacySse
from portico.gateway.transport.shortcut import Shortcut
from portico.gateway.transport.streamable import StreamableHttp
from portico.observe.calls import CallObserver
from portico.wire import errors
from portico.wire.errors import RpcError
from portico.wire.jsonrpc import encode_error


class Entry:
    """`public_url` is where people reach the gateway; without one, what the request says."""

    def __init__(
        self,
        live: Live,
        hosts: HostRules,
        streamable: StreamableHttp,
        legacy_sse: LegacySse,
        observer: CallObserver,
        next_id: Callable[[], str],
        public_url: str | None,
        shortcut: Shortcut | None = None,
    ) -> None:
        self._live = live
        self._hosts = hosts
        self._streamable = streamable
        self._legacy_sse = legacy_sse
        self._observer = observer
        self._next_id = next_id
        self._public_url = public_url
        self._shortcut = shortcut
        self.draining = False

    def handle(self, request: Request) -> Coroutine[Any, Any, Reply]:
        """The reply to any request, to be awaited."""
        known, shortcut = request.known, self._shortcut
        if known is None or shortcut is None:
            return self._handle(request)
        lane, snapshot = known.lane, self._live.current
        if lane is None or lane.snapshot is not snapshot:
            lane = self._lane(request, snapshot, shortcut)
            if lane is None:
                return self._handle(request)
            known.lane = lane
        if lane.endpoint is None:
            return self._handle(request)
        return shortcut.call(request, lane, lane.endpoint, self._handle)

    def _lane(self, request: Request, snapshot: Snapshot, shortcut: Shortcut) -> Lane | None:
        """What the head settles; None where that is not yet known, because its credential has not been judged."""
        may_ask = self._hosts.allows_host(request.host) and b"origin" not in request.headers
        route = snapshot.table.get(request.path) if may_ask else None
        admitted = known_caller(request, route.endpoint) if route is not None else None
        if route is not None and admitted is None:
            return None
        return shortcut.lane(request, snapshot, route, admitted)

    async def _handle(self, request: Request) -> Reply:
        """What is refused before it becomes a call is logged here, with an id of its own."""
        route = self._live.current.table.get(request.path)
        answer = self._admit(request, route)
        reply = answer if isinstance(answer, Reply) else await answer
        if reply.status >= 400 and reply.headers[:1] != (JSON,):
            reply = self._refused(request, reply)
        origin = request.headers.get(b"origin")
        if origin is not None and route is not None and request.method != "OPTIONS":
            cors = route.endpoint.cors
            if cors is not None and cors.allows(origin.decode("latin-1")):
                return reply.with_headers(cors_headers(cors, origin))
        return reply

    def _admit(self, request: Request, route: Route | None) -> Reply | Awaitable[Reply]:
        """A refusal, or whatever else needs no transport; or the transport's reply, to be awaited."""
        if request.path in (b"/livez", b"/readyz"):
            return self._health(request)
        if not request.handed_over and not self._hosts.allows_host(request.host):
            return text_reply(
                403, "This Host is not one of this gateway's names; the operator can add it with --allowed-host."
            )
        if route is None:
            return text_reply(404, "No endpoint here. A path is a router's prefix and /mcp, /sse or /message.")
        endpoint = route.endpoint
        if request.method == "OPTIONS":
            return preflight(request, endpoint.cors)
        origin = request.headers.get(b"origin")
        if origin is not None and not self._hosts.allows_origin(origin.decode("latin-1"), request.host, endpoint.cors):
            return text_reply(
                403, "This Origin may not call the endpoint; the operator can add it to the router's cors.allowOrigins."
            )
        guard = endpoint.guard
        if route.door is Door.METADATA and guard is not None:
            return self._metadata(request, endpoint, guard)
        if route.door is Door.PAGE or _wants_page(request):
            return self._page(request, endpoint)
        if guard is None:
            return self._transport(request, route.door, Admitted(None, endpoint))
        return self._guarded(request, route.door, endpoint, guard)

    async def _guarded(self, request: Request, door: Door, endpoint: Endpoint, guard: Guard) -> Reply:
        """Nothing of a request to a guarded endpoint is read, and nothing is kept for it, before it is known whose it
        is."""
        if request.known is not None:
            # Its lane may be too old; the next request that begins alike makes a new one.
            request.known.lane = None
        try:
            admitted = await admit(request, endpoint, guard)
        except Refused as refused:
            return self._stranger(request, endpoint, guard, refused)
        answer = self._transport(request, door, admitted)
        return answer if isinstance(answer, Reply) else await answer

    def _stranger(self, request: Request, endpoint: Endpoint, guard: Guard, refused: Refused) -> Reply:
        presented = b"authorization" in request.headers or b"x-api-key" in request.headers
        status, headers = challenge(endpoint, guard, refused, presented, self._base(request))
        error = RpcError(errors.UNAUTHORIZED, explanation(guard, refused))
        return self._refuse(request, error, status).with_headers((*headers, (b"cache-control", b"no-store")))

    def _transport(self, request: Request, door: Door, admitted: Admitted) -> Reply | Awaitable[Reply]:
        principal, endpoint = admitted.principal, admitted.endpoint
        if door is Door.MCP:
            return self._streamable.handle(request, endpoint, principal)
        if door is Door.SSE:
            return self._legacy_sse.open(request, endpoint, principal)
        return self._legacy_sse.post(request, endpoint, principal)

    def _health(self, request: Request) -> Reply:
        if request.path == b"/livez":
            return text_reply(200, "alive")
        if self.draining:
            return text_reply(503, "shutting down")
        if not self._live.ready:
            return text_reply(503, "no documents loaded yet")
        if self._live.trouble:
            # It answers calls like any other, so it stays in; strangers are not told what the store said.
            return text_reply(200, "ready, serving what was read last: the store cannot be read")
        if self._live.unsealed:
            return text_reply(200, "ready, but secrets of the store cannot be opened; the log says which and why")
        return text_reply(200, "ready")

    def _page(self, request: Request, endpoint: Endpoint) -> Reply:
        if request.method not in ("GET", "HEAD"):
            return text_reply(405, "POST messages to the path with /mcp behind it.", ((b"allow", b"GET, HEAD"),))
        return endpoint_page(endpoint, self._base(request))

    def _metadata(self, request: Request, endpoint: Endpoint, guard: Guard) -> Reply:
        if request.method not in ("GET", "HEAD"):
            return text_reply(405, "This is to be read: GET it.", ((b"allow", b"GET, HEAD"),))
        return metadata(endpoint, guard, self._base(request))

    def _base(self, request: Request) -> str:
        return self._public_url or f"{request.scheme}://{request.host.decode('latin-1')}"

    def _refuse(self, request: Request, error: RpcError, status: int) -> Reply:
        """An answer in JSON to a message that was not read, so that its id is not known."""
        call_id, path = self._next_id(), request.path.decode("latin-1")
        self._observer.refused(call_id, request.address, request.method, path, status, error.message)
        return Reply(status, encode_error(None, error, call_id), (JSON,))

    def _refused(self, request: Request, reply: Reply) -> Reply:
        call_id = self._next_id()
        why = reply.body.decode("utf-8", "replace").strip()
        path = request.path.decode("latin-1")
        self._observer.refused(call_id, request.address, request.method, path, reply.status, why)
        return reply.with_headers(((b"x-portico-call", call_id.encode()),))


def _wants_page(request: Request) -> bool:
    return request.method == "GET" and b"text/html" in request.headers.get(b"accept", b"")
