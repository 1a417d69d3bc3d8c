"""postgresql://…: LISTEN and NOTIFY of PostgreSQL, beside a store in the same database or in any other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from portico.notify.notifier import PATIENCE, Hear, NotifyError
from portico.notify.place import Place

if TYPE_CHECKING:
    from asyncpg import Connection

PORT = 5432
CHANNEL = "portico"
OPTIONS = ("channel", "sslmode")
HEARTBEAT = 10.0


class Postgres:
    """Sender and receiver. A pooler between that shares connections by transaction passes no notification on."""

    def __init__(self, place: Place, heartbeat: float = HEARTBEAT) -> None:
        self._place = place
        self._channel = place.options.get("channel") or CHANNEL
        self._heartbeat = heartbeat
        self.shown = place.shown

    async def announce(self, revision: str) -> None:
        async with self._connected() as connection:
            await connection.execute("SELECT pg_notify($1, $2)", self._channel, revision)

    async def reach(self) -> None:
        async with self._connected():
            pass

    async def listen(self, ready: Callable[[], None], hear: Hear) -> None:
        def heard(connection: object, pid: int, channel: str, payload: object) -> None:
            hear(str(payload))

        async with self._connected() as connection:
            ended = asyncio.Event()
            connection.add_termination_listener(lambda _: ended.set())
            await connection.add_listener(self._channel, heard)
            ready()
            while not ended.is_set():
                try:
                    await asyncio.wait_for(ended.wait(), self._heartbeat)
                except TimeoutError:
                    await connection.execute("SELECT 1", timeout=PATIENCE)
            raise NotifyError("the server ended the connection")

    async def close(self) -> None:
        """Nothing is kept open."""

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[Connection]:
        import asyncpg

        place = self._place
        hosts, ports = zip(*place.hosts, strict=True)
        connection: Connection | None = None
        try:
            opened: Connection = await asyncpg.connect(
                host=list(hosts),
                port=list(ports),
                user=place.user,
                password=place.password,
                database=place.path or None,
                ssl=place.options.get("sslmode"),
                timeout=PATIENCE,  # pyright: ignore[reportArgumentType]
                command_timeout=PATIENCE,
                statement_cache_size=0,
                server_settings={"application_name": "portico notifier"},
            )
            connection = opened
            yield opened
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
            raise NotifyError(place.clean(str(error) or "it took too long")) from None
        finally:
            if connection is not None:
                # Whatever it is doing: the server forgets whom it would have told.
                connection.terminate()
