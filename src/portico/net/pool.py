"""The connections of one origin: lent last in, first out; opened when none is idle; waited for in order when all are
in use.

A connection is opened by a task of its own, so that a caller which gives up does not waste it and deadlines need no
timer of theirs.
"""

import asyncio
import math
from collections import deque
from dataclasses import dataclass

from portico.net.breaker import Breaker
from portico.net.connection import Connection
from portico.net.dialer import Dialer
from portico.net.errors import Busy, NetError, TimedOut, Unreachable
from portico.net.known_answers import KnownAnswers
from portico.net.limits import ClientLimits
from portico.net.origin import Origin
from portico.net.outbox import Outbox

BUDGET_SECONDS = 10.0
FREE_RETRIES = 10


@dataclass(frozen=True, slots=True)
class Figures:
    """What one origin's pool has done, and holds now."""

    open: int
    idle: int
    connects: int
    requests: int
    failures: int
    retries: int
    broken: float
    """Seconds for which calls will go on failing at once; 0 unless the breaker is open."""


@dataclass(slots=True, eq=False)
class _Waiter:
    future: "asyncio.Future[Connection]"
    deadline: float
    queue_ends: float
    fresh: bool


class Pool:
    __slots__ = (
        "_budget_from",
        "_budget_until",
        "_closed",
        "_connections",
        "_dialer",
        "_dials",
        "_loop",
        "_origin",
        "_waiters",
        "breaker",
        "connects",
        "failures",
        "idle",
        "known",
        "limits",
        "name",
        "outbox",
        "requests",
        "retries",
    )

    def __init__(
        self, origin: Origin, limits: ClientLimits, dialer: Dialer, loop: asyncio.AbstractEventLoop, outbox: Outbox
    ) -> None:
        self.name = origin.name
        self.limits = limits
        self.outbox = outbox
        self.known = KnownAnswers()
        self.idle: list[Connection] = []
        self.breaker = Breaker(origin.name, limits)
        self.connects = self.requests = self.failures = self.retries = 0
        self._origin = origin
        self._dialer = dialer
        self._loop = loop
        self._connections: set[Connection] = set()
        self._waiters: deque[_Waiter] = deque()
        self._dials: set[asyncio.Task[Connection]] = set()
        self._closed = False
        self._budget_from = (0, 0)
        self._budget_until = 0.0

    @property
    def is_empty(self) -> bool:
        return not (self._connections or self._waiters or self._dials)

    def figures(self) -> Figures:
        return Figures(
            len(self._connections),
            len(self.idle),
            self.connects,
            self.requests,
            self.failures,
            self.retries,
            self.breaker.seconds(self._loop.time()),
        )

    def admit(self) -> None:
        """To be asked while the breaker is open; Rejected unless it is time to try."""
        self.breaker.admit(self._loop.time())

    def gave_up(self) -> None:
        self.breaker.gave_up(self._loop.time())

    def may_retry(self) -> bool:
        """Whether one more request may be repeated; counts it. The budget is of the last BUDGET_SECONDS."""
        now = self._loop.time()
        if now >= self._budget_until:
            self._budget_from = (self.requests, self.retries)
            self._budget_until = now + BUDGET_SECONDS
        requests, retries = self._budget_from
        if self.retries - retries >= FREE_RETRIES + self.limits.retries * (self.requests - requests):
            return False
        self.retries += 1
        return True

    def failed(self, error: NetError, *, is_stale: bool = False) -> None:
        """A connection, or the attempt to open one, ended in an error."""
        self.failures += 1
        if isinstance(error, Unreachable | TimedOut):
            # A kept connection that was closed meanwhile is what every server produces now and then.
            if not is_stale:
                self.breaker.failed(self._loop.time(), error.message)
        elif self.breaker.failures and error.sent:
            self.breaker.recovered()

    async def wait(self, deadline: float, *, fresh: bool = False) -> Connection:
        """A connection, when none is idle; with `fresh`, one that has served no request. Needs no task around it."""
        if self._closed:
            raise Unreachable(f"{self.name} is not called any more: the client is closed")
        if len(self._waiters) + len(self._connections) - len(self.idle) >= self.limits.in_flight:
            raise Busy(f"{self.limits.in_flight} requests to {self.name} are under way, and no more are sent at once")
        full = len(self._connections) + len(self._dials) >= self.limits.connections
        queue_ends = self._loop.time() + self.limits.queue if full else math.inf
        waiter = _Waiter(self._loop.create_future(), deadline, queue_ends, fresh)
        self._waiters.append(waiter)
        self._dial_as_needed()
        try:
            return await waiter.future
        except BaseException as error:
            self._withdraw(waiter)
            if not isinstance(error, NetError):
                self.gave_up()
            raise
        finally:
            del waiter  # The error of its future knows this frame.

    def released(self, connection: Connection) -> None:
        if not self._waiters or not self._hand_over(connection):
            self.idle.append(connection)

    def lost(self, connection: Connection) -> None:
        self._connections.discard(connection)
        if connection in self.idle:
            self.idle.remove(connection)
        self._dial_as_needed()

    def sweep(self, now: float) -> None:
        """Enforces every deadline of this pool; called a few times a second."""
        self.known.forget()
        for connection in tuple(self._connections):
            connection.check(now)
        for waiter in tuple(self._waiters):
            if now >= waiter.deadline:
                self._refuse(waiter, TimedOut(f"{self.name} had no connection free before the deadline of the call"))
            elif now >= waiter.queue_ends:
                self._refuse(waiter, self._all_busy())

    def close(self) -> None:
        self._closed = True
        closing = f"{self.name} was being called when the client was closed"
        for waiter in tuple(self._waiters):
            self._refuse(waiter, Unreachable(closing))
        for dial in tuple(self._dials):
            dial.cancel()
        for connection in tuple(self._connections):
            connection.fail(Unreachable(closing, sent=True))

    def _dial_as_needed(self) -> None:
        while len(self._waiters) > len(self._dials) and not self._closed:
            if len(self._connections) + len(self._dials) >= self.limits.connections:
                if not self.idle:
                    return
                # Only those who want a fresh connection wait beside idle ones: the longest unused makes room.
                self.idle[0].close()
                return
            dial = self._loop.create_task(self._dialer.dial(self._origin, self._new_connection))
            self._dials.add(dial)
            dial.add_done_callback(self._dialled)

    def _new_connection(self) -> Connection:
        return Connection(self, self._loop)

    def _dialled(self, dial: "asyncio.Task[Connection]") -> None:
        self._dials.discard(dial)
        if dial.cancelled():
            return
        error = dial.exception()
        if error is None:
            self._admit(dial.result())
        else:
            self.failed(error if isinstance(error, NetError) else self._unreachable(error))
            # The error goes to whoever has waited longest: every waiter without a connection has a dial of its own
            # under way.
            waiting = next((waiter for waiter in self._waiters if not waiter.future.done()), None)
            if waiting is not None:
                self._refuse(waiting, error)
        self._dial_as_needed()

    def _admit(self, connection: Connection) -> None:
        self.connects += 1
        if self._closed or connection.is_closing():
            connection.close()
        else:
            self._connections.add(connection)
            self.released(connection)

    def _hand_over(self, connection: Connection) -> bool:
        for waiter in self._waiters:
            # One that is done has just been cancelled, and will withdraw.
            if not waiter.future.done() and (not waiter.fresh or not connection.requests):
                self._waiters.remove(waiter)
                waiter.future.set_result(connection)
                return True
        return False

    def _refuse(self, waiter: _Waiter, error: BaseException) -> None:
        self._waiters.remove(waiter)
        if waiter.future.done():
            return
        if isinstance(error, NetError):
            waiter.future.set_exception(error)
        else:
            waiter.future.set_exception(self._unreachable(error))

    def _unreachable(self, error: BaseException) -> Unreachable:
        return Unreachable(f"{self.name} cannot be connected to: {error}")

    def _withdraw(self, waiter: _Waiter) -> None:
        """Its caller gave up; a connection it had been handed in the same moment goes to the next."""
        if waiter in self._waiters:
            self._waiters.remove(waiter)
        future = waiter.future
        if future.done() and not future.cancelled() and future.exception() is None and not future.result().closed:
            self.released(future.result())

    def _all_busy(self) -> Busy:
        return Busy(
            f"All {self.limits.connections} connections to {self.name} are in use, and waiting for one took too long"
        )
