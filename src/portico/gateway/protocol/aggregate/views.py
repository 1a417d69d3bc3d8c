"""Every view of this worker: made when somebody first asks, kept fresh while somebody does, told of what changes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from typing import Any

from portico.gateway.protocol.aggregate.asking import ask_for_lists
from portico.gateway.protocol.aggregate.audience import Audience, audience_of
from portico.gateway.protocol.aggregate.errands import Errands
from portico.gateway.protocol.aggregate.following import PAUSE, all_set, follow_lists
from portico.gateway.protocol.aggregate.hearing import ALL_KINDS
from portico.gateway.protocol.aggregate.joining import Joining, Served
from portico.gateway.protocol.aggregate.lists import Lists
from portico.gateway.protocol.aggregate.merging import Remark
from portico.gateway.protocol.aggregate.reporting import report
from portico.gateway.protocol.aggregate.view import LIST_PATIENCE, Part, View
from portico.gateway.protocol.call import Call
from portico.gateway.protocol.relay import Relay, unreachable
from portico.gateway.routing.endpoint import Endpoint
from portico.net.errors import NetError
from portico.upstream.mcp.upstream import McpSpec, McpUpstream

log = logging.getLogger("portico.aggregate")

MOST_VIEWS = 256
MOST_REMARKS = 10_000
IDLE = 300.0


class Views:
    """`announce` tells an endpoint's clients that kinds of list have changed. `find` knows the running upstreams."""

    def __init__(
        self,
        relay: Relay,
        find: Callable[[McpSpec], McpUpstream | None],
        announce: Callable[[str, frozenset[str]], None],
        served: Served,
        clock: Callable[[], float],
    ) -> None:
        self._relay = relay
        self._find = find
        self._announce = announce
        self._clock = clock
        # Of one kind of clients there are several where a reload came between; what they were shown last comes last.
        self._views: dict[Audience, list[View]] = {}
        self._errands = Errands()
        self._told: set[Remark] = set()
        self.joining = Joining(relay, served, self._errands, self.expire)

    def __iter__(self) -> Iterator[View]:
        return iter([view for mine in self._views.values() for view in mine])

    def known(self, call: Call) -> View:
        """The view as it is, which may be empty."""
        return self.view(call.endpoint, call.modern, audience_of(call))

    def view(self, endpoint: Endpoint, modern: bool, key: Audience) -> View:
        mine = self._views.get(key)
        if mine is None or not mine[-1].endpoint.offers_like(endpoint):
            mine = self._turn(endpoint, modern, key)
        view = mine[-1]
        view.endpoint, view.used = endpoint, self._clock()
        return view

    def _turn(self, endpoint: Endpoint, modern: bool, key: Audience) -> list[View]:
        """To what is offered now; or back, for a call that began before a reload."""
        self._make_room()
        mine = self._views.setdefault(key, [])
        found = next((view for view in mine if view.endpoint.offers_like(endpoint)), None)
        if found is not None:
            mine.remove(found)
        mine.append(found or View(endpoint, modern, self._clock))
        return mine

    def _make_room(self) -> None:
        """Those that somebody attends stay, for they are bounded by the streams that may be open."""
        spare = [view for view in self if not view.attended]
        if len(spare) >= MOST_VIEWS:
            least = min(spare, key=lambda view: view.used)
            self._keep(lambda view, _: view is not least)

    async def current(self, call: Call) -> View:
        """The view with lists that hold now, of every server that answers in time."""
        view, now = self.known(call), self._clock()
        if view.is_fresh(now):
            return view
        prefix = call.endpoint.prefix
        patience = min(LIST_PATIENCE, call.deadline - now)
        await view.refresh(
            lambda part: self._fetch(call, view, part), patience, lambda: self._announce(prefix, ALL_KINDS)
        )
        self._tell(view)
        return view

    async def attend(self, call: Call) -> View:
        """The view, which hears of changes and is kept until it is left as often as this was called."""
        view = self.known(call)
        view.attended += 1
        try:
            await self.current(call)
            await all_set(part.hears for part in view.parts if part.lists is not None)
        except BaseException:
            view.leave()
            raise
        return view

    def expire(self, spec: McpSpec, but: View | None = None) -> None:
        """The lists of this server are not what they were, for nobody but who is asking for them now."""
        for view in self:
            for part in view.parts if view is not but else ():
                if part.include.spec == spec:
                    part.until = 0.0

    def doubt(self, prefix: str) -> None:
        """Another worker says that lists of this endpoint are not what they were."""
        for view in self:
            if view.endpoint.prefix == prefix:
                for part in view.parts:
                    part.until = 0.0

    def sweep(self) -> None:
        """Notice which servers went away or came back, and let go what nobody uses. To be called every second."""
        now = self._clock()
        self._keep(lambda view, is_last: view.attended > 0 or (is_last and now - view.used <= IDLE))
        specs = {part.include.spec for view in self for part in view.parts}
        for spec in specs:
            upstream = self._find(spec)
            if upstream is None:
                continue
            if upstream.health.state == "down":
                self._went(spec, upstream.health.reason)
                if spec.kind != "http":
                    self._errands.run(spec, _warm(upstream))
            elif upstream.health.state != "starting":
                self._came(spec, upstream.health.since)

    def close(self) -> None:
        self._keep(lambda view, is_last: False)
        self._errands.close()

    def report(self, prefix: str | None = None) -> list[dict[str, Any]]:
        """What each view has, from where, and what is hidden in it, for the admin listener."""
        return [report(view) for view in self if prefix in (None, view.endpoint.prefix)]

    async def _fetch(self, call: Call, view: View, part: Part) -> Lists:
        """What a server lists for the clients of this view. A modern one hears of changes from then on."""
        include = part.include
        try:
            conversation = await self.joining.conversation(call, include.spec, view)
        except NetError as error:
            raise unreachable(call, error) from error
        headers = self._relay.forwarded(call, include.spec)
        lists = await ask_for_lists(call, include, conversation, headers, self._clock)
        if view.modern and (part.following is None or part.following.done()):
            part.following = follow_lists(self._relay, call, part, lambda kinds: self._changed(view, part, kinds))
        return lists

    def _changed(self, view: View, part: Part, kinds: frozenset[str]) -> None:
        self.expire(part.include.spec)
        self._announce(view.endpoint.prefix, kinds)

    def _went(self, spec: McpSpec, reason: str) -> None:
        for view in self:
            lost = [
                view.lose(part, reason) for part in view.parts if part.include.spec == spec and part.lists is not None
            ]
            if any(lost):
                self._announce(view.endpoint.prefix, ALL_KINDS)

    def _came(self, spec: McpSpec, since: float) -> None:
        """A server is well since then: whoever lost it before is told, once."""
        back = [
            (view, part)
            for view in self
            for part in view.parts
            if part.include.spec == spec and part.failure and part.failed <= since
        ]
        for _, part in back:
            part.failed, part.until = self._clock(), 0.0
        for prefix in sorted({view.endpoint.prefix for view, _ in back}):
            self._announce(prefix, ALL_KINDS)

    def _tell(self, view: View) -> None:
        """Log what is hidden, once."""
        for remark in view.merged.remarks:
            if remark not in self._told and len(self._told) < MOST_REMARKS:
                self._told.add(remark)
                verb = "is hidden" if remark.hidden else "is listed, but"
                log.warning(
                    "%s: %s %s of %s %s: %s. %s.",
                    view.endpoint.prefix, remark.kind, remark.name, remark.server, verb, remark.why, remark.mend,
                )  # fmt: skip

    def _keep(self, keeps: Callable[[View, bool], bool]) -> None:
        """Let go the others. Of the views of one kind of clients, the last is what they were shown last."""
        for key, mine in tuple(self._views.items()):
            kept = [view for view in mine if keeps(view, view is mine[-1])]
            for view in mine:
                if view not in kept:
                    view.close()
            if kept:
                self._views[key] = kept
            else:
                del self._views[key]


async def _warm(upstream: McpUpstream) -> None:
    try:
        await upstream.warm()
    except NetError:
        # Its health says so; it is tried again.
        await asyncio.sleep(PAUSE)
