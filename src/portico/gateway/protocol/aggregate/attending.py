"""Open subscriptions (subscriptions/listen) at aggregates: each attends the view of its client, which hears what
becomes of lists, and follows the resources of servers that it asked for.

Where a reload changes what is offered, a subscription goes on to what is offered now before it leaves what was.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Collection, Iterator, Mapping

from portico.gateway.protocol.aggregate.following import follow_resources
from portico.gateway.protocol.aggregate.hearing import UPDATED
from portico.gateway.protocol.aggregate.joining import Served
from portico.gateway.protocol.aggregate.merging import Owner
from portico.gateway.protocol.aggregate.owners import resource_owner
from portico.gateway.protocol.aggregate.views import Views
from portico.gateway.protocol.call import Call
from portico.gateway.protocol.relay import Relay
from portico.gateway.protocol.resources import exists
from portico.gateway.protocol.subscriptions import FANOUT, Events, Listening, Subscriptions, wanted_by


class Attendance:
    """One of them, which is what it is told by: closed from our side, it is over. `call` is bound to the endpoint that
    it hears of. `stirred` is set when it is over, or has to hear of something else."""

    def __init__(self, call: Call, events: Events) -> None:
        self.call = call
        self.wanted = wanted_by(call)
        self.uris: Collection[str] = self.wanted.resource_subscriptions
        self.owners: Mapping[str, Owner] = {}
        self.listening: Listening | None = None
        self.is_over = False
        self.stirred = asyncio.Event()
        self._events = events

    def send(self, message: bytes) -> None:
        self._events.send(message)

    def close(self) -> None:
        self._events.close()
        self.is_over = True
        self.stirred.set()

    def grants(self, uri: str) -> bool:
        return exists(self.call.endpoint.catalog, uri) or uri in self.owners

    def tell(self, uri: str) -> None:
        # The acknowledgement comes first.
        if self.listening is not None:
            self.listening.tell(UPDATED, {"uri": uri})


class Attendances:
    """`served` gives the endpoint as the client of a call sees it now, None where there is none for it any more."""

    def __init__(
        self,
        relay: Relay,
        views: Views,
        subscriptions: Subscriptions,
        served: Served,
        clock: Callable[[], float],
    ) -> None:
        self._relay = relay
        self._views = views
        self._subscriptions = subscriptions
        self._served = served
        self._clock = clock
        self._open: set[Attendance] = set()

    def listen(self, call: Call, events: Events) -> Callable[[], None]:
        """Open one. It is acknowledged when the servers that answer in time tell of their changes. Returns what ends
        it when the client is gone."""
        task = asyncio.get_running_loop().create_task(self._attend(Attendance(call, events)))

        def end() -> None:
            task.cancel()

        return end

    def renew(self) -> Iterator[None]:
        """Something else may be served. FANOUT at a time: the caller decides what happens in between."""
        for number, attendance in enumerate(tuple(self._open), 1):
            if self._served(attendance.call) is not attendance.call.endpoint:
                attendance.stirred.set()
            if number % FANOUT == 0:
                yield

    async def _attend(self, attendance: Attendance) -> None:
        with contextlib.closing(attendance), contextlib.ExitStack() as leaving:
            self._open.add(attendance)
            leaving.callback(self._open.discard, attendance)
            hearing = await self._hear(attendance)
            leaving.callback(lambda: hearing.close())
            listening, forget = self._subscriptions.open(
                attendance.call, attendance.wanted, attendance, attendance.grants
            )
            leaving.callback(forget)
            attendance.listening, attendance.uris = listening, listening.uris
            while await self._goes_on(attendance, listening):
                before, hearing = hearing, await self._hear(attendance)
                before.close()

    async def _hear(self, attendance: Attendance) -> contextlib.ExitStack:
        """Hear of the endpoint that its call is bound to. Returns what ends that."""
        call, attendance.owners = attendance.call, {}
        with contextlib.ExitStack() as leaving:
            if call.endpoint.aggregate is not None:
                view = await self._views.attend(call)
                leaving.callback(view.leave)
                theirs = [uri for uri in attendance.uris if not exists(call.endpoint.catalog, uri)]
                found = {uri: resource_owner(view, uri) for uri in theirs}
                attendance.owners = {uri: owner for uri, owner in found.items() if owner is not None}
                leaving.callback(await follow_resources(self._relay, call, attendance.owners, attendance.tell))
            return leaving.pop_all()

    async def _goes_on(self, attendance: Attendance, listening: Listening) -> bool:
        """Wait until something else is offered, and bind it to that; False when it is over."""
        while not attendance.is_over:
            endpoint = self._served(attendance.call)
            if endpoint is None:
                listening.end()
            elif not endpoint.offers_like(attendance.call.endpoint):
                attendance.call = attendance.call.bound(endpoint, self._clock())
                return True
            else:
                await attendance.stirred.wait()
                attendance.stirred.clear()
        return False
