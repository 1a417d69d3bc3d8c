"""redis://…: pub/sub of one Redis, of the master that sentinels name, or of any node of a cluster.

A cluster hands what is published at one node to all of them, so one connection to the first node that answers will do.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from portico.notify.notifier import PATIENCE, Hear, NotifyError
from portico.notify.place import Place

if TYPE_CHECKING:
    from redis.asyncio import Redis as Client

PORT = 6379
SENTINEL_PORT = 26379
CHANNEL = "portico"
OPTIONS = ("channel", "ca")
SENTINEL_PATIENCE = 1.0
HEARTBEAT = 10.0
"""Seconds of silence after which a connection is asked whether it still is one."""


class Redis:
    """Sender and receiver. A sender connects for each message: writers are commands that end soon."""

    def __init__(self, place: Place, heartbeat: float = HEARTBEAT) -> None:
        self._place = place
        self._channel = place.options.get("channel") or CHANNEL
        self._heartbeat = heartbeat
        self.shown = place.shown

    async def announce(self, revision: str) -> None:
        async with self._reached() as client:
            await client.publish(self._channel, revision)

    async def reach(self) -> None:
        async with self._reached():
            pass

    async def listen(self, ready: Callable[[], None], hear: Hear) -> None:
        async with self._reached() as client, client.pubsub() as subscription:
            await asyncio.wait_for(subscription.subscribe(self._channel), PATIENCE)
            await self._hear(subscription, ready, hear)

    async def close(self) -> None:
        """Nothing is kept open."""

    async def _hear(self, subscription: Any, ready: Callable[[], None], hear: Hear) -> None:
        asked = False
        while True:
            message: dict[str, Any] | None = await subscription.get_message(
                timeout=PATIENCE if asked else self._heartbeat
            )
            if message is None and asked:
                raise NotifyError("it has fallen silent")
            asked = message is None
            if message is None:
                await asyncio.wait_for(subscription.ping(), PATIENCE)
            elif message["type"] == "subscribe":
                ready()
            elif message["type"] == "message":
                hear(message["data"].decode("latin-1"))

    @asynccontextmanager
    async def _reached(self) -> AsyncIterator[Client]:
        """A client whose server has answered. Whatever goes wrong meanwhile is a NotifyError."""
        from redis.exceptions import RedisError

        client: Client | None = None
        try:
            client = await self._client()
            yield client
        except (RedisError, OSError, TimeoutError) as error:
            raise NotifyError(self._place.clean(str(error) or "it took too long")) from None
        finally:
            if client is not None:
                await client.aclose()

    async def _client(self) -> Client:
        from redis.exceptions import RedisError

        failed = ""
        for host, port in await self._hosts():
            client = self._connect(host, port)
            try:
                await asyncio.wait_for(client.ping(), PATIENCE)
                return client
            except (RedisError, OSError, TimeoutError) as error:
                failed = str(error) or f"{host}:{port} took too long"
                await client.aclose()
        raise NotifyError(self._place.clean(failed))

    async def _hosts(self) -> list[tuple[str, int]]:
        if not self._place.scheme.endswith("+sentinel"):
            return list(self._place.hosts)
        from redis.asyncio.sentinel import Sentinel

        options = {"socket_timeout": SENTINEL_PATIENCE, "socket_connect_timeout": SENTINEL_PATIENCE}
        sentinel = Sentinel(list(self._place.hosts), sentinel_kwargs={**options, **self._options()})
        try:
            # They are asked in turn, and the first may be gone.
            return [await sentinel.discover_master(self._place.path)]
        finally:
            for each in sentinel.sentinels:
                await each.aclose()

    def _connect(self, host: str, port: int) -> Client:
        from redis.asyncio import Redis as Client

        place = self._place
        number = place.path if place.scheme in ("redis", "rediss") else ""
        return Client(
            host=host,
            port=port,
            db=int(number or 0),
            username=place.user,
            password=place.password,
            socket_connect_timeout=PATIENCE,
            **self._options(),
        )

    def _options(self) -> dict[str, Any]:
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff

        # The library would try again by itself, for as long as ten seconds; when to do so is ours to say.
        once: dict[str, Any] = {"retry": Retry(NoBackoff(), 0)}
        if not self._place.scheme.startswith("rediss"):
            return once
        return once | {"ssl": True, "ssl_ca_certs": self._place.options.get("ca") or None}
