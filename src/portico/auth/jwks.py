"""The public keys of an issuer of tokens: fetched when first asked for, looked at again now and then, and kept while
the issuer is down.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from urllib.parse import urlsplit

from portico.auth.principal import Refused
from portico.auth.web_key import WebKey, read_keys
from portico.net.errors import NetError
from portico.net.http_client import HttpClient
from portico.net.origin import Origin, authority

log = logging.getLogger("portico.auth")

FRESH = 600.0
"""Keys are asked for anew after so many seconds; meanwhile the old ones serve."""
FLOOR = 30.0
"""Seconds between two fetches, whatever tokens say of keys that we do not know."""
KEPT = 86_400.0
"""How long the last good keys serve while the issuer cannot be reached."""
PATIENCE = 5.0
MOST_BYTES = 256 * 1024


class Jwks:
    """The keys behind one URL. `clock` is monotonic, in seconds."""

    def __init__(self, url: str, client: HttpClient, clock: Callable[[], float] = time.monotonic) -> None:
        self.url = url
        self._client = client
        self._clock = clock
        self._keys: tuple[WebKey, ...] = ()
        self._good = self._tried = -KEPT - FRESH
        self._fetching: asyncio.Task[None] | None = None

    async def keys(self, kid: str | None) -> tuple[WebKey, ...]:
        """The keys that may have signed a token, fetched where that may help; none when there is none. Refused when
        the issuer has told no keys for too long."""
        age = self._clock() - self._good
        found = self._named(kid)
        if age > KEPT or not found:
            await self._fetch()
            found = self._named(kid)
        elif age > FRESH:
            self._begin()
        if self._clock() - self._good > KEPT:
            raise Refused("The keys of the token's issuer cannot be fetched now. Try again later.")
        return found

    def close(self) -> None:
        if self._fetching is not None:
            self._fetching.cancel()

    def _named(self, kid: str | None) -> tuple[WebKey, ...]:
        return tuple(key for key in self._keys if kid is None or key.kid is None or key.kid == kid)

    async def _fetch(self) -> None:
        task = self._begin()
        if task is not None:
            # Whoever waits may go away; the others wait on.
            await asyncio.wait([task])

    def _begin(self) -> asyncio.Task[None] | None:
        """The fetch under way, a new one, or none when the last is too young."""
        if self._fetching is not None and not self._fetching.done():
            return self._fetching
        now = self._clock()
        if now - self._tried < FLOOR:
            return None
        self._tried = now
        self._fetching = asyncio.get_running_loop().create_task(self._load())
        return self._fetching

    async def _load(self) -> None:
        try:
            origin, request = _request(self.url)
            deadline = asyncio.get_running_loop().time() + PATIENCE
            answer = await self._client.send(origin, request, deadline=deadline, first_byte=PATIENCE, idempotent=True)
            if answer.status != 200:
                raise ValueError(f"it answered with {answer.status}; redirects are not followed")
            if len(answer.body) > MOST_BYTES:
                raise ValueError(f"its answer is larger than {MOST_BYTES} bytes")
            self._keys = read_keys(answer.body)
        except (NetError, ValueError) as error:
            log.warning("The keys at %s were not fetched: %s", self.url, error)
        except Exception:
            # Nothing that a stranger's server says may end more than this fetch.
            log.exception("The keys at %s were not fetched", self.url)
        else:
            self._good = self._clock()


class KeySets:
    """One Jwks for each URL, so that a reload does not fetch anew. Those that no document names any more are few."""

    MOST = 1_000

    def __init__(self, client: HttpClient, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._clock = clock
        self._found: dict[str, Jwks] = {}

    def find(self, url: str) -> Jwks:
        found = self._found.get(url)
        if found is None:
            if len(self._found) >= self.MOST:
                self._found.pop(next(iter(self._found)))
            found = self._found[url] = Jwks(url, self._client, self._clock)
        return found

    def close(self) -> None:
        for jwks in self._found.values():
            jwks.close()


def _request(url: str) -> tuple[Origin, bytes]:
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    host = parts.hostname or ""
    origin = Origin(parts.scheme, host, port)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    name = authority(host, port) if parts.port else host
    head = f"GET {target} HTTP/1.1\r\nHost: {name}\r\nAccept: application/json\r\n\r\n"
    return origin, head.encode("ascii")
