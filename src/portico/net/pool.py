"""The connections of one origin: lent last in, first out; opened when none is idle; waited for in order when all are
in use.

A connection is opened by a task of its own, so that a caller which gives up does not waste it and deadlines need no
timer of theirs.
"""

import asyncio
import math
from collections import deque
from dataclasses import dataclass

from portico.net.connection import Connection
from portico.net.dialer import Dialer
from portico.net.errors import NetError, Rejected, TimedOut, Unreachable
from portico.net.limits import ClientLimits
from portico.net.origin import Origin


@dataclass(frozen=True, slots=True)
class Figures:
    """What one origin's pool has done, and holds now."""

    open: int
    idle: int
    connects: int
    requests: int
    failures: int


@dataclass(slots=True, eq=False)
class _Waiter:
    future: "asyncio.Future[Connection]"
    deadline: float
    queue_ends: float
    fresh: bool


class Pool:
    __slots__ = (
        "_closed",
        "_connections",
        "_dialer",
        "_dials",
        "_loop",
        "_origin",
        "_waiters",
        "connects",
        "failures",
        "idle",
        "limits",
        "name",
        "requests",
    )

    def __init__(self, origin: Origin, limits: ClientLimits, dialer: Dialer, loop: asyncio.AbstractEventLoop) -> None:
        self.name = origin.name
        self.limits = limits
        self.idle: list[Connection] = []
        self.connects = self.requests = self.failures = 0
        self._origin = origin
        self._dialer = dialer
        self._loop = loop
        self._connections: set[Connection] = set()
        self._waiters: deque[_Waiter] = deque()
        self._dials: set[asyncio.Task[Connection]] = set()
        self._closed = False

    @property
    def is_empty(self) -> bool:
        return not (self._connections or self._waiters or self._dials)

    def figures(self) -> Figures:
        return Figures(len(self._connections), len(self.idle), self.connects, self.requests, self.failures)

    async def wait(self, deadline: float, *, fresh: bool = False) -> Connection:
        """A connection, when none is idle; with `fresh`, one that has served no request. Needs no task around it."""
        if self._closed:
            raise Unreachable(f"{self.name} is not called any more: the client is closed")
        if len(self._waiters) >= self.limits.waiters:
            raise self._all_busy()
        full = len(self._connections) + len(self._dials) >= self.limits.connections
        queue_ends = self._loop.time() + self.limits.queue if full else math.inf
        waiter = _Waiter(self._loop.create_future(), deadline, queue_ends, fresh)
        self._waiters.append(waiter)
        self._dial_as_needed()
        try:
            return await waiter.future
        except BaseException:
            self._withdraw(waiter)
            raise

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
            self.failures += 1
            # The error goes to whoever has waited longest: every waiter without a connection has a dial of its own
            # under way.
            if self._waiters:
                self._refuse(self._waiters[0], error)
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
            if not waiter.fresh or not connection.requests:
                self._waiters.remove(waiter)
                waiter.future.set_result(connection)
                return True
        return False

    def _refuse(self, waiter: _Waiter, error: BaseException) -> None:
        self._waiters.remove(waiter)
        if isinstance(error, NetError):
            waiter.future.set_exception(error)
        else:
            waiter.future.set_exception(Unreachable(f"{self.name} cannot be connected to: {error}"))

    def _withdraw(self, waiter: _Waiter) -> None:
        """Its caller gave up; a connection it had been handed in the same moment goes to the next."""
        if waiter in self._waiters:
            self._waiters.remove(waiter)
        future = waiter.future
        if future.done() and not future.cancelled() and future.exception() is None and not future.result().closed:
            self.released(future.result())

    def _all_busy(self) -> Rejected:
        return Rejected(
            f"All {self.limits.connections} connections to {self.name} are in use, and waiting for one took too long"
        )
