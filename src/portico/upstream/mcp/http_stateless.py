"""The modern era over streamable HTTP: each request is a POST of its own, answered in JSON or by a stream of its own.

Specification 2026-07-28, streamable HTTP. Nothing is shared between requests, so that ids and tokens stay the client's.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping

import msgspec

from portico.net.errors import NetError
from portico.net.response import Response
from portico.net.streaming import StreamingResponse
from portico.upstream.mcp import envelope as envelope
from portico.upstream.mcp import handshake as handshake
from portico.upstream.mcp.answer import Refusal, body_of, is_events, refused, whole_outcome
from portico.upstream.mcp.asked import Asked
from portico.upstream.mcp.direct import Rest
from portico.upstream.mcp.hearing import Hearing
from portico.upstream.mcp.http_events import AnswerStream
from portico.upstream.mcp.http_place import NOTICE, Place
from portico.upstream.mcp.upstream import Era, Hear, Outcome
from portico.wire.jsonrpc import UNSET, Id

_LISTEN = "subscriptions/listen"
_TELLS_NOTHING = frozenset((401, 403, 407, 429))
_NAMED = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
_PLAIN = re.compile(r"[\x21-\x7e]([\x20-\x7e\t]*[\x21-\x7e])?").fullmatch


class Stateless:
    era: Era = "modern"

    def __init__(self, place: Place) -> None:
        self.greeting = b""
        self._place = place
        self._hearing = Hearing(place.target.name, place.clock, None)

    async def open(self, timeout: float) -> None:
        """Ask what the server speaks. Raises WrongEra where that is no modern revision that we do."""
        place = self._place
        deadline = place.clock() + timeout
        try:
            outcome = await self._discover(1, deadline)
            if handshake.invites(outcome):
                outcome = await self._discover(2, deadline)
        except Refusal as error:
            # Anything but a modern answer to a 4xx tells a legacy server (streamable HTTP: Backward Compatibility).
            if error.status in _TELLS_NOTHING or error.status >= 500:
                raise
            raise handshake.WrongEra(error.message, sent=True) from error
        except NetError as error:
            raise place.failed(error) from error
        self.greeting = handshake.discovered(place.target.name, outcome)

    async def _discover(self, number: int, deadline: float) -> Outcome:
        place = self._place
        lines = place.target.lines(handshake.DISCOVER_HEADERS)
        response = await place.post(lines, handshake.discover(number), deadline, safe=True)
        return await self._outcome(response, Asked(number, number, deadline, None))

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
        place = self._place
        body = envelope.request(identifier, method, params)
        lines = place.target.lines(_completed(headers, method, params))
        asked = Asked(0, identifier, deadline, hear)
        if method == _LISTEN:
            return await self._listen(lines, body, asked)
        place.begin()
        try:
            response = await place.post(lines, body, deadline, method != "tools/call")
            if type(response) is Response and not is_events(response):
                return whole_outcome(place.target, response, response.body, identifier)
            return await self._outcome(response, asked)
        except NetError as error:
            raise place.failed(error) from error
        finally:
            place.work.leave()

    def prepared(self, headers: Mapping[str, str]) -> bytes:
        return self._place.target.lines(_completed(headers, "tools/call", None))

    async def begin(
        self, prepared: bytes, params: bytes, *, identifier: Id, deadline: float, hear: Hear
    ) -> Outcome | Rest:
        place, rest = self._place, None
        place.begin()
        try:
            response = await place.send(prepared, envelope.call(identifier, params), deadline, False)
            if place.life.health.state != "serving":
                place.answered()
            if type(response) is Response and not is_events(response):
                return whole_outcome(place.target, response, response.body, identifier)
            asked = Asked(0, identifier, deadline, hear)
            stream = self._stream(asked) if response.status == 200 and is_events(response) else None
            outcome = await stream.first(response) if stream is not None else None
            if outcome is not None:
                return outcome
            rest = place.going_on(self._rest(response, asked, stream), response)
            return rest
        except NetError as error:
            raise place.failed(error) from error
        finally:
            if rest is None:
                place.work.leave()

    async def _rest(self, response: Response | StreamingResponse, asked: Asked, stream: AnswerStream | None) -> Outcome:
        try:
            return await (stream.follow(response) if stream is not None else self._outcome(response, asked))
        except NetError as error:
            raise self._place.failed(error) from error

    async def notify(self, method: str, params: bytes | None) -> None:
        place = self._place
        lines = place.target.lines(_completed({}, method, params))
        body = envelope.notification(method, params)
        try:
            response = await place.post(lines, body, place.clock() + NOTICE, safe=False)
            if response.status >= 300:
                raise refused(place.target, response, await body_of(place.target, response))
            place.let_go(response)
        except NetError as error:
            raise place.failed(error) from error

    def listen(self, hear: Hear) -> Callable[[], None]:
        return self._hearing.listen(hear)

    def release(self) -> None:
        """Nothing is held."""

    def reconnected(self) -> None:
        self._hearing.reconnected()

    async def _listen(self, lines: bytes, body: bytes, asked: Asked) -> Outcome:
        """A request that lasts: it takes no connection from calls, and nobody waits for its end."""
        place = self._place
        if place.closed:
            raise place.over()
        try:
            response = await place.streams.stream(
                place.target.origin, place.target.post(lines, body), deadline=asked.deadline, first_byte=float("inf")
            )
            place.answered()
            place.lasting.add(response)
            try:
                return await self._outcome(response, asked)
            finally:
                place.lasting.discard(response)
        except NetError as error:
            raise place.over() if place.closed else place.failed(error) from error

    async def _outcome(self, response: Response | StreamingResponse, asked: Asked) -> Outcome:
        if response.status == 200 and is_events(response):
            return await self._stream(asked).follow(response)
        target = self._place.target
        return whole_outcome(target, response, await body_of(target, response), asked.identifier)

    def _stream(self, asked: Asked) -> AnswerStream:
        return AnswerStream(self._place, asked, lambda data: self._take(data, asked), None)

    def _take(self, data: bytes, asked: Asked) -> Outcome | None:
        found: Outcome | None = None
        for message in self._place.read(data):
            if message.method is UNSET:
                if message.id == asked.identifier:
                    found = envelope.outcome(message)
            else:
                self._hearing.take(message, asked)
        return found


def _completed(headers: Mapping[str, str], method: str, params: bytes | None) -> Mapping[str, str]:
    """The headers with those that mirror the body, where the client came over a transport without headers."""
    known = {name.lower() for name in headers}
    if "mcp-method" in known and "mcp-protocol-version" in known and ("mcp-name" in known or method not in _NAMED):
        return headers
    found = dict(headers)
    if "mcp-protocol-version" not in known:
        found["MCP-Protocol-Version"] = handshake.VERSION
    if "mcp-method" not in known:
        found["Mcp-Method"] = method
    if method in _NAMED and "mcp-name" not in known and params is not None:
        name = _text(params, _NAMED[method])
        if name is not None:
            found["Mcp-Name"] = header_value(name)
    return found


def header_value(text: str) -> str:
    """Value Encoding of the specification's page on streamable HTTP."""
    if _PLAIN(text) and not (text.startswith("=?base64?") and text.endswith("?=")):
        return text
    return f"=?base64?{base64.b64encode(text.encode()).decode()}?="


def _text(params: bytes, key: str) -> str | None:
    try:
        found = msgspec.json.decode(params)[key]
    except (msgspec.MsgspecError, RecursionError, KeyError, TypeError):
        return None
    return found if isinstance(found, str) else None
