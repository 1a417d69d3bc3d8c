"""The methods of endpoints that offer several upstream MCP servers as one.

What the document defines itself is answered as on any endpoint. A call of something included goes straight to whose it
is: views.py is asked for lists only where a name is not known.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from portico.gateway.protocol import lifecycle
from portico.gateway.protocol.aggregate import presenting, rewriting
from portico.gateway.protocol.aggregate.audience import audience
from portico.gateway.protocol.aggregate.merging import Owner
from portico.gateway.protocol.aggregate.owners import resource_owner, template_owner, tool_owner
from portico.gateway.protocol.aggregate.view import View
from portico.gateway.protocol.aggregate.views import Views
from portico.gateway.protocol.answer import cacheable
from portico.gateway.protocol.call import Call, ReadClient
from portico.gateway.protocol.dispatch import METHODS, Answer, Method, find_method
from portico.gateway.protocol.params import UNSET
from portico.gateway.protocol.relay import Relay, answered
from portico.gateway.protocol.resources import MOST_SUBSCRIPTIONS, exists, not_found
from portico.gateway.protocol.tools import suggestion
from portico.gateway.routing.endpoint import Endpoint
from portico.gateway.session.session import Session
from portico.upstream.mcp.upstream import Heard, McpSpec
from portico.wire import errors
from portico.wire.errors import RpcError

Find = Callable[[View], Owner | None]


class Aggregates:
    """`sessions` iterates over the legacy ones of this worker."""

    def __init__(self, relay: Relay, views: Views, sessions: Iterable[Session]) -> None:
        self._relay = relay
        self._views = views
        self._sessions = sessions
        own = {
            "initialize": self.initialize,
            "server/discover": self.discover,
            "logging/setLevel": self.set_level,
            "tools/list": self.list,
            "prompts/list": self.list,
            "resources/list": self.list,
            "resources/templates/list": self.list,
            "tools/call": self.call_tool,
            "prompts/get": self.get_prompt,
            "resources/read": self.read,
            "resources/subscribe": self.subscribe,
            "resources/unsubscribe": self.unsubscribe,
            "completion/complete": self.complete,
        }
        self._methods = {
            name: replace(METHODS[name], handle=handle, admit_modern=None, quiet=handle == self.list)
            for name, handle in own.items()
        }

    def method(self, call: Call) -> Method:
        """The document's own method for what is its own; RpcError for what the era has not."""
        method = find_method(call.method, call.modern)
        if _is_own(call):
            return method
        return self._methods.get(call.method, method)

    async def initialize(self, call: Call) -> bytes:
        lifecycle.settle(call)
        parts = (await self._views.current(call)).parts
        self._views.joining.join(call, parts)
        return lifecycle.greet(
            call, presenting.capabilities(call.endpoint, parts), presenting.instructions(call.endpoint, parts)
        )

    async def discover(self, call: Call) -> bytes:
        parts = (await self._views.current(call)).parts
        found = presenting.capabilities(call.endpoint, parts)
        return lifecycle.present(call, found, presenting.instructions(call.endpoint, parts))

    async def list(self, call: Call) -> bytes:
        """A page of the merged list. Where no server answers and the document has nothing itself, an error: an empty
        list would look as if all were well."""
        view, cursor = await self._views.current(call), call.params.cursor
        self._views.joining.join(call, view.parts)
        merged = view.merged.lists[call.method]
        if all(part.lists is None for part in view.parts) and not any(view.merged.sources.values()):
            raise RpcError(errors.INTERNAL_ERROR, f"There is nothing to list.{presenting.away(view.parts)}")
        return cacheable(call, merged.page(call.modern, None if cursor is UNSET else cursor))

    async def call_tool(self, call: Call) -> Answer:
        name = call.params.needed("name")
        call.name = name[:256]
        owner, view = await self._owner(call, lambda view: tool_owner(view, name))
        if owner is None:
            hint = suggestion(name, [*call.endpoint.catalog.tools, *view.merged.owners["tools"]])
            text = f"Unknown tool: {name[:128]}.{hint}{presenting.away(view.parts)}"
            raise RpcError(errors.INVALID_PARAMS, text)
        return await self._pass_on(call, owner, "name")

    async def get_prompt(self, call: Call) -> Answer:
        name = call.params.needed("name")
        call.name = name[:256]
        owner, view = await self._owner(call, lambda view: view.merged.owners["prompts"].get(name))
        if owner is None:
            hint = suggestion(name, [*call.endpoint.catalog.prompts, *view.merged.owners["prompts"]])
            text = f"Unknown prompt: {name[:128]}.{hint}{presenting.away(view.parts)}"
            raise RpcError(errors.INVALID_PARAMS, text)
        return await self._pass_on(call, owner, "name")

    async def read(self, call: Call) -> Answer:
        return await self._pass_on(call, await self._resource(call), "uri")

    async def subscribe(self, call: Call) -> Answer:
        owner, session = await self._resource(call), call.session
        if session is not None and len(session.subscriptions) >= MOST_SUBSCRIPTIONS:
            raise RpcError(errors.INVALID_PARAMS, f"A session has at most {MOST_SUBSCRIPTIONS} subscriptions.")
        answer = await self._pass_on(call, owner, "uri")
        if session is not None and answer.outcome == "ok":
            session.subscriptions.add(call.params.needed("uri"))
        return answer

    async def unsubscribe(self, call: Call) -> bytes | Answer:
        """Sessions may share one upstream session: the last that wants a resource ends its subscription there."""
        owner, uri = await self._resource(call), call.params.needed("uri")
        if call.session is not None:
            call.session.subscriptions.discard(uri)
        prefix = call.endpoint.prefix
        if any(uri in session.subscriptions for session in self._sessions if session.prefix == prefix):
            return b""
        return await self._pass_on(call, owner, "uri")

    async def complete(self, call: Call) -> Answer:
        reference = call.params.needed("ref")
        if reference.type == "ref/prompt" and isinstance(reference.name, str):
            name = reference.name
            owner, view = await self._owner(call, lambda view: view.merged.owners["prompts"].get(name))
            key = "name"
        else:
            uri = reference.uri if isinstance(reference.uri, str) else ""
            owner, view = await self._owner(call, lambda view: template_owner(view, uri))
            key = "uri"
        if owner is None:
            text = f"The ref names nothing that is offered here.{presenting.away(view.parts)}"
            raise RpcError(errors.INVALID_PARAMS, text)
        return await self._ask(call, owner, rewriting.reference_in(call.raw, key, owner.own))

    async def set_level(self, call: Call) -> bytes:
        """The session's own, and that of every server that it is joined to and that logs."""
        await lifecycle.set_level(call)
        if call.session is not None:
            await asyncio.gather(
                *(self._relay.request(call, spec, call.raw) for spec in tuple(call.session.upstreams)),
                return_exceptions=True,
            )
        return b""

    def view(
        self,
        endpoint: Endpoint,
        version: str,
        session: Session | None,
        capabilities: Mapping[str, Any],
        read: ReadClient,
    ) -> View:
        """As far as it is known, for such a client."""
        return self._views.view(endpoint, session is None, audience(endpoint, version, session, capabilities, read))

    def hear(self, call: Call, spec: McpSpec, heard: Heard) -> None:
        """What a server says ahead of the answer to a call."""
        self._views.joining.hear(call, spec, heard)

    async def _resource(self, call: Call) -> Owner:
        uri = call.params.needed("uri")
        call.name = uri[:256]
        owner, view = await self._owner(call, lambda view: resource_owner(view, uri))
        if owner is not None:
            return owner
        error = not_found(call, uri)
        raise RpcError(error.code, error.message + presenting.away(view.parts), error.data)

    async def _owner(self, call: Call, find: Find) -> tuple[Owner | None, View]:
        """As it is known; only a name that is not known is worth asking for lists."""
        call.relayed = True
        view = self._views.known(call)
        owner = find(view)
        if owner is None:
            view = await self._views.current(call)
            owner = find(view)
        return owner, view

    async def _pass_on(self, call: Call, owner: Owner, key: str) -> Answer:
        return await self._ask(call, owner, rewriting.params_in(call.raw, {key: owner.own}))

    async def _ask(self, call: Call, owner: Owner, params: bytes) -> Answer:
        include, joining = owner.include, self._views.joining
        spec = include.spec

        stand, hear = partial(joining.stand, call, spec), partial(joining.hear, call, spec)
        outcome = await self._relay.request(call, spec, params, stand, hear)
        return answered(call, rewriting.outcome_out(include, outcome))


def _is_own(call: Call) -> bool:
    """Whether a call is about something that the document defines."""
    catalog, params = call.endpoint.catalog, call.params
    if call.method == "tools/call":
        return params.name in catalog.tools
    if call.method == "prompts/get":
        return params.name in catalog.prompts
    if call.method in ("resources/read", "resources/subscribe", "resources/unsubscribe"):
        return isinstance(params.uri, str) and exists(catalog, params.uri)
    if call.method == "completion/complete" and params.ref is not UNSET:
        name, uri = params.ref.name, params.ref.uri
        return name in catalog.prompts or any(template.uri_template == uri for template in catalog.templates)
    return False
