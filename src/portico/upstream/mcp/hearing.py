"""What an upstream says by itself, brought to those whom it concerns, and their answers to its questions.

A message that concerns one request goes to who asked that; everything else to all who listen. Where it cannot be known
whose request a private message belongs to, nobody is told, because clients of different people share a conversation.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Collection
from weakref import ref

import msgspec

from portico.upstream.mcp.asked import Asked
from portico.upstream.mcp.envelope import params_of
from portico.upstream.mcp.upstream import Hear, Heard
from portico.wire.errors import METHOD_NOT_FOUND, OVERLOADED
from portico.wire.jsonrpc import Message, encode_response

log = logging.getLogger("portico.upstream")

RECONNECTED = "portico/reconnected"
MOST_QUESTIONS = 64
MOST_EARLY = 64
_LOG = "notifications/message"
_encode = msgspec.json.encode


class Hearing:
    """`send` takes an encoded answer to the upstream; without one (the modern era) it may ask nothing."""

    def __init__(self, name: str, clock: Callable[[], float], send: Callable[[bytes], None] | None) -> None:
        self._name = name
        self._clock = clock
        self._send = send
        self._listeners: list[Hear] = []
        self._early: deque[Heard] | None = deque(maxlen=MOST_EARLY)
        self._questions: dict[int | str, Heard] = {}

    @property
    def listeners(self) -> int:
        return len(self._listeners)

    def listen(self, hear: Hear) -> Callable[[], None]:
        """The first to listen is also told what was said before."""
        self._listeners.append(hear)
        early, self._early = self._early, None
        for heard in early or ():
            self._spread(heard)

        def end() -> None:
            if hear in self._listeners:
                self._listeners.remove(hear)

        return end

    def take(self, message: Message, asked: Asked | None, under_way: Collection[Asked] = ()) -> None:
        """A request or notification. `asked` is the request that it is known to concern; where that is unknown,
        `under_way` are those that it may concern."""
        method, params = message.method, params_of(message)
        assert isinstance(method, str)
        if message.is_request:
            assert isinstance(message.id, int | str)
            self._question(message.id, method, params, asked, under_way)
        elif method == "notifications/cancelled":
            self._withdraw(params)
        elif asked is not None and asked.hear is not None:
            asked.hear(Heard(method, params))
        elif method == _LOG and under_way and (one := self._one(under_way)) is not None:
            if one.hear is not None:
                one.hear(Heard(method, params))
        elif method == _LOG and len(under_way) > 1 and len(self._listeners) > 1:
            log.debug("%s: a log message could be for any of several clients and reaches none", self._name)
        else:
            self._spread(Heard(method, params))

    def reconnected(self) -> None:
        """The upstream is back and remembers nothing."""
        self._questions.clear()
        self._spread(Heard(RECONNECTED, None))

    def _one(self, under_way: Collection[Asked]) -> Asked | None:
        candidates = [asked for asked in under_way if asked.hear is not None and asked.wants_logs]
        return candidates[0] if len(candidates) == 1 else None

    def _question(
        self,
        identifier: int | str,
        method: str,
        params: bytes | None,
        asked: Asked | None,
        under_way: Collection[Asked],
    ) -> None:
        if self._send is None:
            log.warning("%s: asked %s, which servers of this revision must not do", self._name, method)
            return
        if method == "ping":
            self._send(encode_response(identifier, b'"result":{}'))
            return
        if len(self._questions) >= MOST_QUESTIONS:
            self._refuse(identifier, OVERLOADED, f"{MOST_QUESTIONS} questions are unanswered.")
            return
        concerned = asked or self._one(under_way)
        heard = Heard(method, params)
        # Every call that the question may belong to waits for the answer.
        waiting = [concerned] if concerned is not None else [one for one in under_way if one.wants_logs]
        heard.answer = self._answering(identifier, heard, waiting)
        self._questions[identifier] = heard
        for one in waiting:
            one.pause(self._clock())
        if concerned is not None and concerned.hear is not None:
            concerned.hear(heard)
        elif len(waiting) > 1 and len(self._listeners) > 1:
            heard.answer(_error(METHOD_NOT_FOUND, "Several clients could be meant; give each its own (perClient)."))
            log.warning(
                "%s asked %s while several clients' calls were under way and does not say which one it concerns; "
                "write `session: perClient` for this server",
                self._name,
                method,
            )
        else:
            self._spread(heard)

    def _answering(self, identifier: int | str, heard: Heard, waiting: list[Asked]) -> Callable[[bytes], None]:
        # It is kept with the question itself, which so does not wait for the garbage collector.
        answered = ref(heard)

        def answer(member: bytes) -> None:
            question = self._questions.get(identifier)
            if question is None or question is not answered():
                return
            del self._questions[identifier]
            for one in waiting:
                one.resume(self._clock())
            assert self._send is not None
            self._send(encode_response(identifier, member))

        return answer

    def _withdraw(self, params: bytes | None) -> None:
        """The upstream does not want an answer any more."""
        try:
            identifier = msgspec.json.decode(params or b"{}", type=_Cancelled).request_id
        except (msgspec.MsgspecError, RecursionError):
            return
        heard = self._questions.pop(identifier, None) if identifier is not None else None
        if heard is not None and heard.withdrawn is not None:
            heard.withdrawn()

    def _spread(self, heard: Heard) -> None:
        if self._early is not None:
            self._early.append(heard)
            return
        for hear in tuple(self._listeners):
            hear(heard)
        if heard.answer is not None and not heard.claimed:
            heard.answer(_error(METHOD_NOT_FOUND, "No client is there that can be asked."))

    def _refuse(self, identifier: int | str, code: int, text: str) -> None:
        assert self._send is not None
        self._send(encode_response(identifier, _error(code, text)))


def _error(code: int, text: str) -> bytes:
    return b'"error":' + _encode({"code": code, "message": text})


class _Cancelled(msgspec.Struct, rename="camel"):
    request_id: int | str | None = None
