"""A legacy conversation over streamable HTTP: opened by `initialize`, known by a session id, renewed when that is lost.

Specification 2025-11-25, transports: Streamable HTTP. Ids and progress tokens are ours, because a session is shared.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping

from portico.net.errors import Malformed, NetError, TimedOut
from portico.net.response import Response
from portico.net.streaming import StreamingResponse
from portico.upstream.mcp import envelope as envelope
from portico.upstream.mcp import handshake as handshake
from portico.upstream.mcp.answer import body_of, is_events, is_lost_session, refused, whole_outcome
from portico.upstream.mcp.asked import Asked
from portico.upstream.mcp.direct import Rest
from portico.upstream.mcp.flight import Flight
from portico.upstream.mcp.hearing import Hearing
from portico.upstream.mcp.http_events import AnswerStream
from portico.upstream.mcp.http_place import NOTICE, Place
from portico.upstream.mcp.http_standing import StandingStream
from portico.upstream.mcp.upstream import Era, Hear, Hello, Outcome
from portico.wire.jsonrpc import UNSET, Id, Message

_SAFE = frozenset(
    (
        "ping",
        "tools/list",
        "prompts/list",
        "prompts/get",
        "resources/list",
        "resources/templates/list",
        "resources/read",
        "completion/complete",
    )
)


class _Lost(Exception):
    """The server does not know the session any more. It never leaves this module."""


class HttpSession:
    era: Era = "legacy"

    def __init__(self, place: Place, hello: Hello, give_back: Callable[[HttpSession], None]) -> None:
        self.hello = hello
        self.holders = 0
        self.greeting = b""
        self._place = place
        self._give_back = give_back
        self._hearing = Hearing(place.target.name, place.clock, self._reply)
        self._asked: dict[int, Asked] = {}
        self._number = 0
        self._lines = b""
        self._session: bytes | None = None
        self._renewing: Flight[None] = Flight()
        self._standing = StandingStream(place, self._take_standing, self._lost)

    async def open(self, timeout: float) -> None:
        """The handshake. Raises WrongEra where the server answers that it knows none."""
        place, target = self._place, self._place.target
        asked = self._begin(place.clock() + timeout, 0, None)
        body = handshake.initialize(asked.number, self.hello)
        try:
            response = await place.post(b"", body, asked.deadline, safe=True)
            outcome = await self._outcome(response, asked, b"")
            self.greeting, version = handshake.greeted(target.name, outcome)
            self._session = response.header(b"mcp-session-id")
            lines = target.header("MCP-Protocol-Version", version)
            if self._session is not None:
                lines += target.header("Mcp-Session-Id", self._session.decode("latin-1"))
            self._lines = lines
            await self._post(handshake.INITIALIZED)
        except NetError as error:
            raise place.failed(error) from error
        finally:
            del self._asked[asked.number]

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
        if self._standing.is_settling:
            await self._standing.settled()
        self._place.begin()
        asked = self._begin(deadline, identifier, hear)
        params, asked.token = envelope.swap_token(params, asked.number)
        body = envelope.request(asked.number, method, params)
        try:
            extra = self._place.target.lines(headers, legacy=True) if headers else b""
            lines, safe = self._lines, method in _SAFE
            try:
                return await self._ask(asked, lines, extra, body, safe)
            except _Lost:
                return await self._again(asked, lines, extra, body, safe)
        except asyncio.CancelledError:
            self._cancel(asked.number)
            raise
        except NetError as error:
            raise self._broken(asked, error) from error
        finally:
            self._place.work.leave()
            del self._asked[asked.number]

    def prepared(self, headers: Mapping[str, str]) -> bytes:
        return self._place.target.lines(headers, legacy=True)

    async def begin(
        self, prepared: bytes, params: bytes, *, identifier: Id, deadline: float, hear: Hear
    ) -> Outcome | Rest:
        place, lines, rest = self._place, self._lines, None
        place.begin()
        # What the standing stream tells meanwhile is for the client's standing stream.
        asked = self._begin(deadline, identifier, None)
        body = envelope.call(asked.number, params)
        try:
            response = await place.send(lines + prepared, body, deadline, False)
            if place.life.health.state != "serving":
                place.answered()
            if type(response) is Response and response.status == 200 and not is_events(response):
                return whole_outcome(place.target, response, response.body, asked.number)
            stream = self._stream(asked, lines) if response.status == 200 and is_events(response) else None
            outcome = await stream.first(response) if stream is not None else None
            if outcome is not None:
                return outcome
            asked.hear = hear
            rest = place.going_on(self._rest(asked, prepared, body, response, lines, stream), response)
            rest.add_done_callback(lambda _: self._asked.pop(asked.number, None))
            return rest
        except asyncio.CancelledError:
            self._cancel(asked.number)
            raise
        except NetError as error:
            raise self._broken(asked, error) from error
        finally:
            if rest is None:
                place.work.leave()
                del self._asked[asked.number]

    async def _rest(
        self,
        asked: Asked,
        extra: bytes,
        body: bytes,
        response: Response | StreamingResponse,
        lines: bytes,
        stream: AnswerStream | None,
    ) -> Outcome:
        try:
            if stream is not None:
                return await stream.follow(response)
            try:
                return await self._outcome(response, asked, lines)
            except _Lost:
                return await self._again(asked, lines, extra, body, False)
        except asyncio.CancelledError:
            self._cancel(asked.number)
            raise
        except NetError as error:
            raise self._broken(asked, error) from error

    async def _again(self, asked: Asked, lines: bytes, extra: bytes, body: bytes, safe: bool) -> Outcome:
        """In a new session, for that which `lines` name is lost."""
        await self._renew(lines)
        try:
            return await self._ask(asked, self._lines, extra, body, safe)
        except _Lost:
            raise Malformed(f"{self._place.target.name} forgets its sessions at once", sent=True) from None

    def _broken(self, asked: Asked, error: NetError) -> NetError:
        """The error as callers see it. A server that is late is told that nobody waits for it any more."""
        if isinstance(error, TimedOut):
            self._cancel(asked.number)
        return self._place.failed(error)

    async def notify(self, method: str, params: bytes | None) -> None:
        if method == "notifications/cancelled":
            return
        try:
            await self._post(envelope.notification(method, params))
        except NetError as error:
            raise self._place.failed(error) from error

    def listen(self, hear: Hear) -> Callable[[], None]:
        self._standing.begin(self._lines)
        return self._hearing.listen(hear)

    def release(self) -> None:
        self._give_back(self)

    async def end(self) -> None:
        """Tell the server that the session is not needed any more (DELETE; it may not allow that)."""
        await self._standing.close()
        self._renewing.cancel()
        if self._session is None:
            return
        place, self._session = self._place, None
        data = place.target.delete(self._lines)
        with contextlib.suppress(NetError):
            await place.client.send(
                place.target.origin, data, deadline=place.clock() + NOTICE, first_byte=NOTICE, idempotent=True
            )

    async def check(self) -> None:
        """The server was away: see whether it knows the session still, and say that it is back."""
        asked = self._begin(self._place.clock() + NOTICE, 0, None)
        lines = self._lines
        try:
            await self._ask(asked, lines, b"", envelope.request(asked.number, "ping", None), True)
        except _Lost:
            await self._renew(lines)
            return
        finally:
            del self._asked[asked.number]
        self._standing.again(self._lines)
        self._hearing.reconnected()

    def _begin(self, deadline: float, identifier: Id, hear: Hear | None) -> Asked:
        self._number += 1
        asked = self._asked[self._number] = Asked(self._number, identifier, deadline, hear)
        return asked

    async def _ask(self, asked: Asked, lines: bytes, extra: bytes, body: bytes, safe: bool) -> Outcome:
        response = await self._place.post(lines + extra if extra else lines, body, asked.deadline, safe)
        return await self._outcome(response, asked, lines)

    async def _outcome(self, response: Response | StreamingResponse, asked: Asked, lines: bytes) -> Outcome:
        if response.status == 200 and is_events(response):
            return await self._stream(asked, lines).follow(response)
        target = self._place.target
        body = response.body if type(response) is Response else await body_of(target, response)
        if self._session is not None and lines and is_lost_session(response.status, body):
            raise _Lost
        return whole_outcome(target, response, body, asked.number)

    def _stream(self, asked: Asked, lines: bytes) -> AnswerStream:
        return AnswerStream(self._place, asked, lambda data: self._take(data, asked), lines or None)

    def _take(self, data: bytes, asked: Asked) -> Outcome | None:
        """One event of the stream that answers a request."""
        found: Outcome | None = None
        for message in self._place.read(data):
            if message.method is UNSET:
                if message.id == asked.number:
                    found = envelope.outcome(message)
            else:
                self._hear(message, asked)
        return found

    def _take_standing(self, data: bytes) -> None:
        """One event of the stream that belongs to no request."""
        for message in self._place.read(data):
            if message.method is not UNSET:
                self._hear(message, None)

    def _hear(self, message: Message, asked: Asked | None) -> None:
        if message.method == "notifications/progress":
            number = envelope.number_at(envelope.params_of(message), "progressToken")
            asked = self._asked.get(number) if number is not None else None
            if asked is None or asked.token is None:
                return
            message.params = envelope.with_value(message, asked.token, "progressToken")
        self._hearing.take(message, asked, () if asked is not None else tuple(self._asked.values()))

    def _reply(self, body: bytes) -> None:
        self._place.spawn(self._post(body))

    async def _post(self, body: bytes) -> None:
        """A notification, or an answer to what the server asked."""
        place = self._place
        response = await place.post(self._lines, body, place.clock() + NOTICE, safe=False)
        if response.status >= 300:
            raise refused(place.target, response, await body_of(place.target, response))
        place.let_go(response)

    def _cancel(self, number: int) -> None:
        params = b'{"requestId":%d,"reason":"The client does not wait for it any more."}' % number
        self._place.spawn(self._post(envelope.notification("notifications/cancelled", params)))

    async def _lost(self, lines: bytes) -> None:
        await self._renew(lines)

    async def _renew(self, lines: bytes) -> None:
        """A new session in place of that which `lines` name, unless somebody has renewed it already."""
        if lines != self._lines and not self._renewing.is_under_way:
            return
        await self._renewing.join(self._open_again)

    async def _open_again(self) -> None:
        await self.open(self._place.spec.timeout)
        self._standing.again(self._lines)
        self._hearing.reconnected()
