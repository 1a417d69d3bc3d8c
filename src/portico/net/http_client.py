"""The HTTP/1.1 client of Portico: pooled, bounded, and quick enough for the path of every call.

`data` is a complete request in origin form, rendered by the caller; nothing is added or checked. Redirects are handed
back. One sweep a quarter of a second enforces deadlines; there is no task, timer or lock per request, and coroutines
may be stepped by hand. A cancelled coroutine drops its connection at once. Where a kept-alive connection turns out to
be closed before a byte of the answer, the request is sent once more if it is `idempotent` and the budget of retries
allows it; else the error (`sent` True) goes to the caller.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import Any

from portico.net.connection import Connection
from portico.net.dialer import Dialer
from portico.net.egress import Egress, Lookup, system_lookup
from portico.net.errors import NetError, Unreachable
from portico.net.limits import ClientLimits
from portico.net.origin import Origin
from portico.net.outbox import Outbox
from portico.net.pool import Figures, Pool
from portico.net.response import Response
from portico.net.streaming import StreamingResponse

_SWEEP_SECONDS = 0.25
_DEFAULT_LIMITS = ClientLimits()


class HttpClient:
    """Belongs to the event loop that first uses it. `ca_file` holds authorities to trust besides the system's."""

    def __init__(
        self,
        egress: Egress,
        limits: ClientLimits = _DEFAULT_LIMITS,
        *,
        ca_file: str | None = None,
        lookup: Lookup = system_lookup,
    ) -> None:
        self._limits = limits
        self._dialer = Dialer(egress, lookup, ca_file, limits.connect)
        self._pools: dict[Origin, Pool] = {}
        self._outbox: Outbox | None = None
        self._sweeping: asyncio.TimerHandle | None = None
        self._closed = False

    async def send(
        self,
        origin: Origin,
        data: bytes | list[bytes],
        *,
        head_request: bool = False,
        deadline: float,
        first_byte: float | None = None,
        idempotent: bool,
    ) -> Response:
        """The complete answer. `deadline` is a point of loop.time(), `first_byte` is in seconds. Raises a NetError."""
        pool = self._pools.get(origin) or self._open(origin)
        if pool.breaker.is_open:
            pool.admit()
        connection = pool.idle.pop() if pool.idle else await self._wait(pool, deadline)
        if connection.is_closing():
            connection = await self._wait(pool, deadline, fresh=True)
        pool.requests += 1
        future = connection.begin(data, deadline, first_byte, head_request)
        try:
            return await future
        except Unreachable:
            if not (idempotent and connection.is_stale and pool.may_retry()):
                raise
        except BaseException as error:
            _give_up(pool, connection, future, error)
            raise
        finally:
            del future  # Its error knows this frame.
        connection = await self._wait(pool, deadline, fresh=True)
        future = connection.begin(data, deadline, first_byte, head_request)
        try:
            return await future
        except BaseException as error:
            _give_up(pool, connection, future, error)
            raise
        finally:
            del future  # Its error knows this frame.

    async def stream(
        self,
        origin: Origin,
        data: bytes | list[bytes],
        *,
        deadline: float | None,
        first_byte: float | None = None,
        idempotent: bool = False,
    ) -> StreamingResponse:
        """The answer as soon as its head is there. `deadline` is for the whole body; None for a stream without end."""
        until = math.inf if deadline is None else deadline
        return await self._begin(Connection.begin_stream, origin, data, until, first_byte, idempotent)

    def open(
        self,
        origin: Origin,
        data: bytes | list[bytes],
        *,
        deadline: float,
        first_byte: float | None = None,
        idempotent: bool = False,
    ) -> Coroutine[Any, Any, Response | StreamingResponse]:
        """To be awaited: a Response where the answer arrives in one read, which costs no more than `send`; else as
        `stream`."""
        return self._begin(Connection.begin_either, origin, data, deadline, first_byte, idempotent)

    async def _begin(
        self,
        begin: "Callable[[Connection, bytes | list[bytes], float, float | None], asyncio.Future[Any]]",
        origin: Origin,
        data: bytes | list[bytes],
        until: float,
        first_byte: float | None,
        idempotent: bool,
    ) -> Any:
        pool = self._pools.get(origin) or self._open(origin)
        if pool.breaker.is_open:
            pool.admit()
        connection = pool.idle.pop() if pool.idle else await self._wait(pool, until)
        while True:
            if connection.is_closing():
                connection = await self._wait(pool, until, fresh=True)
            pool.requests += 1
            future = begin(connection, data, until, first_byte)
            try:
                return await future
            except Unreachable:
                if not (idempotent and connection.is_stale and pool.may_retry()):
                    raise
            except BaseException as error:
                _give_up(pool, connection, future, error)
                raise
            finally:
                del future  # Its error knows this frame.

    def figures(self) -> Iterator[tuple[Origin, Figures]]:
        """What every known origin's pool has done and holds, for the metrics page."""
        return ((origin, pool.figures()) for origin, pool in tuple(self._pools.items()))

    async def aclose(self) -> None:
        """Drops every connection. Requests under way end as Unreachable, and so does every later one."""
        self._closed = True
        if self._sweeping is not None:
            self._sweeping.cancel()
            self._sweeping = None
        for pool in self._pools.values():
            pool.close()

    def _open(self, origin: Origin) -> Pool:
        if self._closed:
            raise Unreachable(f"{origin.name} is not called any more: the client is closed")
        if len(self._pools) >= self._limits.origins:
            self._pools = {known: pool for known, pool in self._pools.items() if not pool.is_empty}
        loop = asyncio.get_running_loop()
        if self._outbox is None:
            self._outbox = Outbox(loop)
        pool = self._pools[origin] = Pool(origin, self._limits, self._dialer, loop, self._outbox)
        return pool

    def _wait(self, pool: Pool, deadline: float, *, fresh: bool = False) -> Awaitable[Connection]:
        """Every way to a connection but reuse leads through here, so the sweep runs whenever it has something to do."""
        if self._sweeping is None and not self._closed:
            self._sweeping = asyncio.get_running_loop().call_later(_SWEEP_SECONDS, self._sweep)
        return pool.wait(deadline, fresh=fresh)

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        self._sweeping = None
        now = loop.time()
        busy = False
        for pool in tuple(self._pools.values()):
            pool.sweep(now)
            busy = busy or not pool.is_empty
        if busy:
            self._sweeping = loop.call_later(_SWEEP_SECONDS, self._sweep)


def _give_up(pool: Pool, connection: Connection, future: "asyncio.Future[Any]", error: BaseException) -> None:
    connection.abandon(future)
    if not isinstance(error, NetError):
        pool.gave_up()
