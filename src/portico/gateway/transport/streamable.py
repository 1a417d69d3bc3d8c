"""One endpoint, both eras, on `{prefix}/mcp`. The only file with two branches.

A POST whose `MCP-Protocol-Version` is there and names no handshake revision is modern; everything else is legacy
(specification 2026-07-28 and 2025-11-25, streamable HTTP).
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from portico.auth.principal import Principal
from portico.gateway.exchange import Reply, Request, text_reply
from portico.gateway.routing.endpoint import Endpoint
from portico.gateway.transport.conversation import Conversations, version_header
from portico.gateway.transport.handshake import Handshake
from portico.gateway.transport.media import media_of
from portico.gateway.transport.stateless import Stateless
from portico.wire import versions
from portico.wire.errors import RpcError
from portico.wire.jsonrpc import decode, is_batch


class StreamableHttp:
    def __init__(self, shared: Conversations) -> None:
        self._shared = shared
        self._modern = Stateless(shared)
        self._legacy = Handshake(shared)

    def handle(self, request: Request, endpoint: Endpoint, principal: Principal | None) -> Coroutine[Any, Any, Reply]:
        """The reply, to be awaited. It is not a coroutine itself, for each level of them costs every call."""
        if request.method == "POST":
            return self._post(request, endpoint, principal)
        return self._without_body(request, endpoint, principal)

    async def _post(self, request: Request, endpoint: Endpoint, principal: Principal | None) -> Reply:
        media = media_of(request)
        if media.refusal is not None:
            return media.refusal
        body = request.body
        try:
            if body[:1] != b"{" and is_batch(body):
                return await self._legacy.batch(request, endpoint, principal)
            message = decode(body)
        except RpcError as error:
            return self._shared.refuse(request, error, error.http_status(True))
        version = version_header(request)
        if version is not None and versions.header_is_modern(version):
            return await self._modern.post(request, endpoint, principal, message, version.decode("latin-1"))
        return await self._legacy.post(request, endpoint, principal, message)

    async def _without_body(self, request: Request, endpoint: Endpoint, principal: Principal | None) -> Reply:
        if request.method not in ("GET", "DELETE"):
            return text_reply(405, "An MCP endpoint takes POST, GET and DELETE.", ((b"allow", b"POST, GET, DELETE"),))
        if versions.header_is_modern(version_header(request)):
            return text_reply(405, "The stateless revisions of MCP use POST only.", ((b"allow", b"POST"),))
        if request.method == "GET":
            return await self._legacy.get(request, endpoint, principal)
        return await self._legacy.delete(request, endpoint, principal)
