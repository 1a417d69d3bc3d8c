"""Every view of this worker: made when somebody first asks, kept fresh while somebody does, told of what changes.

Legacy clients hear of changes by the conversations that they hold themselves; for modern ones a view listens, as long
as it is used.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping
from typing import Any, Protocol

import msgspec

from portico.gateway.protocol.aggregate.audience import Audience, audience_of
from portico.gateway.protocol.aggregate.hearing import (
    ACKNOWLEDGED,
    ALL_KINDS,
    UPDATED,
    all_set,
    changed_kinds,
    listen_params,
    public_update,
)
from portico.gateway.protocol.aggregate.lists import Lists, fetch
from portico.gateway.protocol.aggregate.merging import Owner, Remark
from portico.gateway.protocol.aggregate.reporting import report
from portico.gateway.protocol.aggregate.rewriting import members_of
from portico.gateway.protocol.aggregate.view import LIST_PATIENCE, Part, View
from portico.gateway.protocol.call import Call
from portico.gateway.protocol.params import UNSET
from portico.gateway.protocol.relay import Relay, unreachable
from portico.gateway.routing.endpoint import Endpoint
from portico.gateway.routing.include import Include
from portico.gateway.session.session import Session
from portico.net.errors import NetError
from portico.upstream.mcp.upstream import Conversation, Heard, McpSpec, McpUpstream, Outcome
from portico.wire.errors import RpcError

log = logging.getLogger("portico.aggregate")

MOST_VIEWS = 256
IDLE = 300.0
PAUSE = 2.0
HEAR_PATIENCE = 2.0
LONGEST_PAUSE = 60.0


class Stand(Protocol):
    def __call__(self, call: Call, spec: McpSpec, session: Session, heard: Heard) -> None: ...


class Views:
    """`announce` tells an endpoint's clients that kinds of list have changed. `find` knows the running upstreams."""

    def __init__(
        self,
        relay: Relay,
        find: Callable[[McpSpec], McpUpstream | None],
        announce: Callable[[str, frozenset[str]], None],
        clock: Callable[[], float],
    ) -> None:
        self._relay = relay
        self._find = find
        self._announce = announce
        self._clock = clock
        self._views: dict[Audience, View] = {}
        self._joined: dict[McpSpec, set[str]] = {}
        self._listening: dict[tuple[int, int], asyncio.Task[None]] = {}
        self._tasks: dict[object, asyncio.Task[None]] = {}
        self._told: set[Remark] = set()

    def known(self, call: Call) -> View:
        """The view as it is, which may be empty."""
        return self.view(call.endpoint, call.modern, audience_of(call))

    def view(self, endpoint: Endpoint, modern: bool, key: Audience) -> View:
        view = self._views.get(key)
        if view is None or view.endpoint is not endpoint:
            if view is not None:
                self._drop(key)
            if len(self._views) >= MOST_VIEWS:
                self._drop(min(self._views, key=lambda key: self._views[key].used))
            view = self._views[key] = View(endpoint, modern, self._clock)
        view.used = self._clock()
        return view

    async def current(self, call: Call, stand: Stand) -> View:
        """The view with lists that hold now, of every server that answers in time."""
        view, now = self.known(call), self._clock()
        if view.is_fresh(now):
            return view
        prefix = call.endpoint.prefix
        patience = min(LIST_PATIENCE, call.deadline - now)
        await view.refresh(
            lambda include: self._fetch(call, view, include, stand), patience, lambda: self._announce(prefix, ALL_KINDS)
        )
        self._tell(view)
        if view.modern:
            self._listen(view, call)
        return view

    async def attend(self, call: Call, stand: Stand) -> View:
        """The view, which hears of changes and is kept until it is left as often as this was called."""
        view = self.known(call)
        view.attended += 1
        try:
            await self.current(call, stand)
            await all_set([part.hears for part in view.parts if part.lists is not None], HEAR_PATIENCE)
        except BaseException:
            view.leave()
            raise
        return view

    def join(self, call: Call, stand: Stand) -> None:
        """Have a legacy session hear of every server, whoever fetched the lists that it sees."""
        aggregate, session = call.endpoint.aggregate, call.session
        if aggregate is None or session is None:
            return
        for spec in aggregate.specs:
            if spec not in session.upstreams:
                self._spawn(("join", session.identifier, spec), self._join(call, spec, stand))

    def expire(self, spec: McpSpec, but: View | None = None) -> None:
        """The lists of this server are not what they were, for nobody but who is asking for them now."""
        for view in self._views.values():
            for part in view.parts if view is not but else ():
                if part.include.spec == spec:
                    part.until = 0.0

    def doubt(self, prefix: str) -> None:
        """Another worker says that lists of this endpoint are not what they were."""
        for view in self._views.values():
            if view.endpoint.prefix == prefix:
                for part in view.parts:
                    part.until = 0.0

    async def follow(self, call: Call, owners: Collection[Owner], tell: Callable[[str], None]) -> Callable[[], None]:
        """Listen to servers for resources of theirs; wait for those that acknowledge in time. Returns what ends it."""
        tasks: list[asyncio.Task[None]] = []
        acknowledged: list[asyncio.Event] = []
        wanted = [uri for uri in _wanted(call) if uri]
        for include in {id(owner.include): owner.include for owner in owners}.values():
            own = sorted({owner.own for owner in owners if owner.include is include})
            heard_of = asyncio.Event()

            def hear(heard: Heard, include: Include = include, heard_of: asyncio.Event = heard_of) -> None:
                if heard.method == ACKNOWLEDGED:
                    heard_of.set()
                elif heard.method == UPDATED:
                    for uri in public_update((include,), heard.params, wanted):
                        tell(uri)

            params = listen_params(_meta(call), {"resourceSubscriptions": own})
            tasks.append(asyncio.get_running_loop().create_task(self._hear(call, include.spec, params, hear, None)))
            acknowledged.append(heard_of)

        def end() -> None:
            for task in tasks:
                task.cancel()

        try:
            await all_set(acknowledged, HEAR_PATIENCE)
        except BaseException:
            end()
            raise
        return end

    def sweep(self) -> None:
        """Notice which servers went away or came back, and let go what nobody uses. To be called every second."""
        now = self._clock()
        for key in [key for key, view in self._views.items() if not view.attended and now - view.used > IDLE]:
            self._drop(key)
        specs = {part.include.spec for view in self._views.values() for part in view.parts}
        for spec in specs:
            upstream = self._find(spec)
            if upstream is None:
                continue
            if upstream.health.state == "down":
                self._went(spec, upstream.health.reason)
                self._revive(spec, upstream)
            elif upstream.health.state != "starting":
                self._came(spec, upstream.health.since)

    def close(self) -> None:
        for key in tuple(self._views):
            self._drop(key)
        for task in self._tasks.values():
            task.cancel()

    def report(self, prefix: str | None = None) -> list[dict[str, Any]]:
        """What each view has, from where, and what is hidden in it, for the admin listener."""
        return [report(view) for view in self._views.values() if prefix in (None, view.endpoint.prefix)]

    async def _fetch(self, call: Call, view: View, include: Include, stand: Stand) -> Lists:
        """In the client's era, with its capabilities and forwarded headers."""
        spec = include.spec
        try:
            conversation = await self._conversation(call, spec, stand, view)
        except NetError as error:
            raise unreachable(call, error) from error

        async def ask(method: str, cursor: str | None) -> bytes:
            outcome = await conversation.request(
                method,
                _list_params(call, cursor),
                identifier=f"portico-{method}",
                deadline=self._clock() + spec.timeout,
                headers=self._relay.forwarded(call, spec),
            )
            return _result(spec, method, outcome)

        return await fetch(conversation.greeting, ask, include)

    async def _conversation(self, call: Call, spec: McpSpec, stand: Stand, asking: View | None = None) -> Conversation:
        session = call.session
        conversation = await self._relay.conversation(call, spec, lambda whose, heard: stand(call, spec, whose, heard))
        if session is not None and not session.ended:
            joined = self._joined.setdefault(spec, set())
            if session.identifier not in joined:
                if not joined:
                    # Nobody heard what changed since the last one left.
                    self.expire(spec, asking)
                joined.add(session.identifier)
                session.when_ended(lambda: self._left(spec, session.identifier))
        return conversation

    def _left(self, spec: McpSpec, session: str) -> None:
        joined = self._joined.get(spec, set())
        joined.discard(session)
        if not joined:
            self._joined.pop(spec, None)
            self.expire(spec)

    async def _join(self, call: Call, spec: McpSpec, stand: Stand) -> None:
        try:
            await self._conversation(call, spec, stand)
        except (NetError, RpcError) as error:
            log.info("%s: %s", call.endpoint.prefix, error.message)

    def _listen(self, view: View, call: Call) -> None:
        """Have a modern view told of changes."""
        wanted = {f"{kind}ListChanged": True for kind in sorted(ALL_KINDS)}
        for index, part in enumerate(view.parts):
            key = (id(view), index)
            if part.lists is None or (key in self._listening and not self._listening[key].done()):
                continue

            def hear(heard: Heard, part: Part = part) -> None:
                if heard.method == ACKNOWLEDGED:
                    part.hears.set()
                elif kinds := changed_kinds(heard):
                    self.expire(part.include.spec)
                    self._announce(view.endpoint.prefix, kinds)

            params = listen_params(_meta(call), dict(wanted))
            self._listening[key] = asyncio.get_running_loop().create_task(
                self._hear(call, part.include.spec, params, hear, part)
            )

    async def _hear(
        self, call: Call, spec: McpSpec, params: bytes, hear: Callable[[Heard], None], part: Part | None
    ) -> None:
        """Listen for as long as the server lets us, again and again; one that refuses is asked ever less often."""
        pause = PAUSE
        while True:
            try:
                conversation = await self._relay.conversation(call, spec)
                outcome = await conversation.request(
                    "subscriptions/listen",
                    params,
                    identifier=f"portico-{call.call_id}",
                    deadline=float("inf"),
                    hear=hear,
                    headers=self._relay.forwarded(call, spec),
                )
                pause = LONGEST_PAUSE if outcome.is_error else PAUSE
            except RpcError:
                pause = LONGEST_PAUSE
            except NetError:
                pause = min(pause * 2, LONGEST_PAUSE)
            finally:
                if part is not None and part.hears.is_set():
                    part.hears.clear()
                    part.until = 0.0
            await asyncio.sleep(pause)

    def _went(self, spec: McpSpec, reason: str) -> None:
        for view in tuple(self._views.values()):
            lost = [
                view.lose(part, reason) for part in view.parts if part.include.spec == spec and part.lists is not None
            ]
            if any(lost):
                self._announce(view.endpoint.prefix, ALL_KINDS)

    def _came(self, spec: McpSpec, since: float) -> None:
        """A server is well since then: whoever lost it before is told, once."""
        back = [
            (view, part)
            for view in self._views.values()
            for part in view.parts
            if part.include.spec == spec and part.failure and part.failed <= since
        ]
        for _, part in back:
            part.failed, part.until = self._clock(), 0.0
        for prefix in sorted({view.endpoint.prefix for view, _ in back}):
            self._announce(prefix, ALL_KINDS)

    def _revive(self, spec: McpSpec, upstream: McpUpstream) -> None:
        if spec.kind != "http":
            self._spawn(("warm", spec), _warm(upstream))

    def _tell(self, view: View) -> None:
        """Log what is hidden, once."""
        for remark in view.merged.remarks:
            if remark not in self._told and len(self._told) < 10_000:
                self._told.add(remark)
                verb = "is hidden" if remark.hidden else "is listed, but"
                log.warning(
                    "%s: %s %s of %s %s: %s. %s.",
                    view.endpoint.prefix, remark.kind, remark.name, remark.server, verb, remark.why, remark.mend,
                )  # fmt: skip

    def _drop(self, key: Audience) -> None:
        view = self._views.pop(key)
        view.close()
        for index in range(len(view.parts)):
            task = self._listening.pop((id(view), index), None)
            if task is not None:
                task.cancel()

    def _spawn(self, key: object, work: Any) -> None:
        if key in self._tasks:
            work.close()
            return
        task = self._tasks[key] = asyncio.get_running_loop().create_task(work)
        task.add_done_callback(lambda _: self._tasks.pop(key, None))


def _meta(call: Call) -> bytes:
    """Who asks, for a request that is made for this client: without the progress, level and trace of its own one."""
    kept: Mapping[str, msgspec.Raw] = members_of(members_of(call.raw or b"{}").get("_meta", b"{}"))
    names = [f"io.modelcontextprotocol/{name}" for name in ("protocolVersion", "clientCapabilities", "clientInfo")]
    return msgspec.json.encode({name: kept[name] for name in names if name in kept})


def _list_params(call: Call, cursor: str | None) -> bytes | None:
    found = {"_meta": msgspec.Raw(_meta(call))} if call.modern else {}
    if cursor is not None:
        found["cursor"] = msgspec.Raw(msgspec.json.encode(cursor))
    return msgspec.json.encode(found) if found else None


def _result(spec: McpSpec, method: str, outcome: Outcome) -> bytes:
    if not outcome.is_error:
        return outcome.member.removeprefix(b'"result":')
    said = members_of(outcome.member.removeprefix(b'"error":')).get("message", b"nothing")
    text = bytes(said).decode("utf-8", "replace")[:300]
    raise RpcError(-32603, f"{spec.name} answered {method} with an error: {text}")


def _wanted(call: Call) -> list[str]:
    wanted = call.params.notifications
    return [] if wanted is UNSET else list(wanted.resource_subscriptions)


async def _warm(upstream: McpUpstream) -> None:
    try:
        await upstream.warm()
    except NetError:
        # Its health says so; it is tried again.
        await asyncio.sleep(PAUSE)
