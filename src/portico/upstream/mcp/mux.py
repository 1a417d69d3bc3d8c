"""One channel to an upstream that carries everybody's messages: whose answer, progress and subscription is whose.

Request ids become integers of ours, and so do progress tokens and subscription ids, there and back. Answers that nobody
waits for are dropped; lines that are no JSON-RPC are logged and ignored.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Protocol

import msgspec

from portico.net.errors import Busy, NetError, TimedOut
from portico.net.waiting import Waiting
from portico.upstream.mcp import envelope as envelope
from portico.upstream.mcp.asked import Asked
from portico.upstream.mcp.direct import Rest
from portico.upstream.mcp.hearing import Hearing
from portico.upstream.mcp.log import BoundedLog
from portico.upstream.mcp.upstream import Era, Hear, Outcome
from portico.wire.jsonrpc import UNSET, Id, Message

MOST = 512
_SWEEP = 0.25
_encode = msgspec.json.encode


class Send(Protocol):
    def __call__(self, message: bytes, number: int | None, headers: Mapping[str, str] = {}) -> None: ...


class Mux:
    """`send` takes a message and, for a request, its number; it may raise a NetError. It ends with the channel."""

    def __init__(self, name: str, era: Era, send: Send, hearing: Hearing, log: BoundedLog) -> None:
        self._name = name
        self._era = era
        self._send = send
        self._hearing = hearing
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._asked: dict[int, Asked] = {}
        self._number = 0
        self._sweeping: asyncio.TimerHandle | None = None
        self._ended: NetError | None = None
        self.used = self._loop.time()
        self.greeted = False
        """Whether the server has been greeted as no client of ours would."""

    @property
    def is_idle(self) -> bool:
        return not self._asked

    async def request(
        self,
        method: str,
        params: bytes | None,
        *,
        identifier: Id,
        deadline: float,
        hear: Hear | None = None,
        headers: Mapping[str, str] = {},
    ) -> Outcome:
        asked = self.begin(identifier, deadline, hear)
        params, asked.token = envelope.swap_token(params, asked.number)
        if self._era == "modern":
            asked.listens = method == "subscriptions/listen"
            asked.wants_logs = params is not None and envelope.mentions(params, b"logLevel")
        return await self.ask(asked, envelope.request(asked.number, method, params), headers=headers)

    async def call(
        self, params: bytes, *, identifier: Id, deadline: float, hear: Hear, headers: Mapping[str, str]
    ) -> Outcome | Rest:
        """See `Direct.begin`."""
        asked = self.begin(identifier, deadline, None)
        asked.hear = asked.overhear
        asked.wants_logs = self._era == "legacy"
        first = await self._first(asked, envelope.call(asked.number, params), headers)
        if first is not None:
            return first
        rest = self._loop.create_task(self._rest(asked, hear))
        rest.add_done_callback(lambda _: self._rested(asked, rest))
        return rest

    def begin(self, identifier: Id, deadline: float, hear: Hear | None) -> Asked:
        """Room for one request; `ask` must follow."""
        if self._ended is not None:
            raise self._ended
        if len(self._asked) >= MOST:
            raise Busy(f"{MOST} requests to {self._name} are under way, and no more are sent at once")
        self._number += 1
        asked = Asked(self._number, identifier, deadline, hear)
        asked.end = Waiting(loop=self._loop)
        self._asked[asked.number] = asked
        return asked

    async def ask(
        self, asked: Asked, message: bytes, *, may_cancel: bool = True, headers: Mapping[str, str] = {}
    ) -> Outcome:
        outcome = await self._first(asked, message, headers, may_cancel=may_cancel)
        assert outcome is not None
        return outcome

    async def _first(
        self, asked: Asked, message: bytes, headers: Mapping[str, str], *, may_cancel: bool = True
    ) -> Outcome | None:
        """The answer, or None where something was said before."""
        assert asked.end is not None
        try:
            self._send(message, asked.number, headers)
            if self._sweeping is None:
                self._sweeping = self._loop.call_later(_SWEEP, self._sweep)
            first = await asked.end
        except BaseException as error:
            if may_cancel and isinstance(error, asyncio.CancelledError | TimedOut):
                self._cancel(asked.number)
            self._over(asked)
            raise
        if first is not None:
            self._over(asked)
        return first

    async def _rest(self, asked: Asked, hear: Hear) -> Outcome:
        asked.tell(hear)
        assert asked.end is not None
        return await asked.end

    def _rested(self, asked: Asked, rest: Rest) -> None:
        """Also where it was cancelled before its first step."""
        self._over(asked)
        if rest.cancelled() or isinstance(rest.exception(), TimedOut):
            self._cancel(asked.number)

    def _over(self, asked: Asked) -> None:
        self._asked.pop(asked.number, None)
        # It may know itself by what it hears with; parted, it does not wait for the garbage collector.
        asked.hear = None
        self.used = self._loop.time()

    def take(self, data: bytes) -> None:
        """What the upstream wrote: one message, or a batch."""
        try:
            messages = envelope.read(data)
        except ValueError as error:
            shown = data[:100].decode(errors="replace")
            self._log.warning("wrote what is no JSON-RPC: %s (%s)", shown, error)
            return
        for message in messages:
            if message.method is UNSET:
                self._answered(message)
            else:
                self._said(message)

    def lose(self, number: int, error: NetError) -> None:
        """This request has no answer."""
        asked = self._asked.get(number)
        if asked is not None and asked.end is not None and not asked.end.done():
            asked.end.set_exception(error)

    def end(self, error: NetError) -> None:
        """The channel is gone, and with it every request."""
        self._ended = error
        if self._sweeping is not None:
            self._sweeping.cancel()
        for number in tuple(self._asked):
            self.lose(number, error)

    def _answered(self, message: Message) -> None:
        number = message.id
        asked = self._asked.get(number) if isinstance(number, int) else None
        if asked is None or asked.end is None or asked.end.done():
            if not isinstance(number, int) or not 0 < number <= self._number:
                self._log.warning("answered a request that it was never sent, with the id %r", number)
            return
        outcome = envelope.outcome(message)
        if asked.listens and not outcome.is_error:
            outcome = _ended_subscription(outcome, asked.identifier)
        asked.end.answer(outcome)

    def _said(self, message: Message) -> None:
        params = envelope.params_of(message)
        asked: Asked | None = None
        if message.method == "notifications/progress":
            asked = self._of(params, "progressToken")
            if asked is None or asked.token is None:
                return
            message.params = envelope.with_value(message, asked.token, "progressToken")
        elif self._era == "modern" and params is not None and envelope.mentions(params, b"subscriptionId"):
            asked = self._of(params, "_meta", envelope.SUBSCRIPTION)
            if asked is None:
                return
            message.params = envelope.with_value(message, _encode(asked.identifier), "_meta", envelope.SUBSCRIPTION)
        elif self._era == "modern" and message.method == "notifications/cancelled":
            self._torn_down(params)
            return
        under_way = () if asked is not None else [one for one in self._asked.values() if not one.listens]
        self._hearing.take(message, asked, under_way)

    def _of(self, params: bytes | None, *path: str) -> Asked | None:
        number = envelope.number_at(params, *path)
        return None if number is None else self._asked.get(number)

    def _torn_down(self, params: bytes | None) -> None:
        """The server ends a subscription of its own accord (specification 2026-07-28, cancellation)."""
        asked = self._of(params, "requestId")
        if asked is not None and asked.listens and asked.end is not None and not asked.end.done():
            result = {"resultType": "complete", "_meta": {envelope.SUBSCRIPTION: asked.identifier}}
            asked.end.set_result(Outcome(b'"result":' + _encode(result), False))

    def _cancel(self, number: int) -> None:
        params = b'{"requestId":%d,"reason":"The client does not wait for it any more."}' % number
        try:
            self._send(envelope.notification("notifications/cancelled", params), None)
        except NetError:
            return

    def _sweep(self) -> None:
        now = self._loop.time()
        self._sweeping = self._loop.call_later(_SWEEP, self._sweep) if self._asked else None
        for asked in tuple(self._asked.values()):
            if now >= asked.deadline:
                error = TimedOut(f"{self._name} did not answer before the deadline of the call", sent=True)
                self.lose(asked.number, error)


def _ended_subscription(outcome: Outcome, identifier: Id) -> Outcome:
    result = outcome.member.partition(b":")[2]
    if envelope.number_at(result, "_meta", envelope.SUBSCRIPTION) is None:
        return outcome
    return Outcome(b'"result":' + envelope.put(result, _encode(identifier), "_meta", envelope.SUBSCRIPTION), False)
