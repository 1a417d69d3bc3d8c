"""A handshake-era conversation: what the client said of itself, its calls under way, and what it has yet to read."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from portico.auth.principal import Principal
from portico.wire import sse

_GIVEN_UP = b'"error":{"code":-32001,"message":"The client did not answer."}'
LEVELS = ("debug", "info", "notice", "warning", "error", "critical", "alert", "emergency")


class Sink(Protocol):
    """The open stream that a log of events is read from."""

    closed: bool

    def write(self, data: bytes) -> None: ...

    def close(self) -> None: ...


class EventLog:
    """The last events of one stream, so that a client can resume after the last one it saw.

    Event ids are `{stream}-{number}`, unique in the session and telling the stream (specification 2025-11-25,
    transports: Resumability and Redelivery). At most EVENTS and BYTES are kept; older ones are gone.
    """

    EVENTS = 256
    BYTES = 1 << 20

    __slots__ = ("_bytes", "_events", "_next", "finished", "name", "sink", "unread")

    def __init__(self, name: str) -> None:
        self.name = name
        self.sink: Sink | None = None
        self.finished = False
        self.unread = 0
        self._events: deque[tuple[int, bytes]] = deque()
        self._bytes = 0
        self._next = 0

    def prime(self, retry_ms: int) -> None:
        """Give the client an id to resume from before there is anything to say."""
        if self.sink is not None:
            self.sink.write(sse.priming(f"{self.name}-{self._number()}", retry_ms))

    def send(self, message: bytes) -> None:
        number = self._number()
        data = sse.event(message, identifier=f"{self.name}-{number}")
        self._events.append((number, data))
        self._bytes += len(data)
        while len(self._events) > self.EVENTS or (self._bytes > self.BYTES and len(self._events) > 1):
            self._bytes -= len(self._events.popleft()[1])
        if self.sink is not None and not self.sink.closed:
            self.sink.write(data)
        else:
            self.unread = min(self.unread + 1, len(self._events))

    @property
    def is_open(self) -> bool:
        """Whether somebody reads it now."""
        return self.sink is not None and not self.sink.closed

    def finish(self) -> None:
        """Nothing more will come: the open stream ends after what was sent."""
        self.finished = True
        if self.sink is not None:
            self.sink.close()

    def connect(self, sink: Sink, after: int | None) -> None:
        """Read on from `sink`: what came after event number `after`, or, without one, what nobody has read yet."""
        if self.sink is not None and not self.sink.closed:
            self.sink.close()
        self.sink = sink
        if after is None:
            missed = list(self._events)[len(self._events) - self.unread :] if self.unread else []
        else:
            missed = [event for event in self._events if event[0] > after]
        self.unread = 0
        for _, data in missed:
            sink.write(data)
        if self.finished:
            sink.close()

    def _number(self) -> int:
        self._next += 1
        return self._next


class Session:
    """One conversation, bound to its endpoint and principal. It holds no headers and no tokens."""

    MOST_CALLS = 128
    MOST_QUESTIONS = 64
    MOST_LOGS = 64

    __slots__ = (
        "address",
        "calls",
        "capabilities",
        "client",
        "created",
        "ended",
        "identifier",
        "level",
        "logs",
        "on_end",
        "prefix",
        "principal",
        "questions",
        "standing",
        "stream_count",
        "subscriptions",
        "upstreams",
        "used",
        "version",
        "via_sse",
    )

    def __init__(self, identifier: str, prefix: str, principal: Principal | None, address: str, now: float) -> None:
        self.identifier = identifier
        self.prefix = prefix
        self.principal = principal
        self.address = address
        self.created = self.used = now
        self.version = ""
        self.client: dict[str, Any] = {}
        self.capabilities: dict[str, Any] = {}
        self.level: str | None = None
        self.subscriptions: set[str] = set()
        self.calls: dict[int | str, Callable[[], object]] = {}
        self.standing = EventLog("0")
        self.logs: dict[str, EventLog] = {"0": self.standing}
        self.stream_count = 0
        self.via_sse = False
        self.upstreams: dict[Any, Any] = {}
        """The conversations with upstream MCP servers that this session is relayed to, by spec."""
        self.ended = False
        self.on_end: list[Callable[[], object]] = []
        self.questions: dict[str, tuple[Callable[[bytes], None], str]] = {}

    def ask(self, method: str, params: bytes | None, answer: Callable[[bytes], None], call: str) -> bytes:
        """A request of the upstream's, encoded for this client under an id of the session's. Beyond MOST_QUESTIONS the
        oldest is given up."""
        if len(self.questions) >= self.MOST_QUESTIONS:
            self.questions.pop(next(iter(self.questions)))[0](_GIVEN_UP)
        self.stream_count += 1
        identifier = f"ask-{self.stream_count}"
        self.questions[identifier] = (answer, call)
        head = f'{{"jsonrpc":"2.0","id":"{identifier}","method":"'.encode() + method.encode() + b'"'
        return head + (b',"params":%b}' % params if params is not None else b"}")

    def take_question(self, identifier: int | str) -> Callable[[bytes], None] | None:
        """What waits for the client's answer of this id; each is taken once."""
        found = self.questions.pop(str(identifier), None)
        return found[0] if found is not None else None

    def forget_questions(self, call: str) -> None:
        """A call has ended: nobody waits for the answers to what was asked about it."""
        for identifier in [key for key, (_, of) in self.questions.items() if of == call]:
            del self.questions[identifier]

    def when_ended(self, action: Callable[[], object]) -> None:
        self.on_end.append(action)

    def open_log(self) -> EventLog:
        """A log for the events of one POST; finished ones make room when there are too many."""
        if len(self.logs) >= self.MOST_LOGS:
            for name in [name for name, log in self.logs.items() if log.finished][: self.MOST_LOGS // 2]:
                del self.logs[name]
        self.stream_count += 1
        log = EventLog(str(self.stream_count))
        self.logs[log.name] = log
        return log

    def find_log(self, event_id: str) -> tuple[EventLog, int] | None:
        """The log and event number that a `Last-Event-ID` names, or None when this session has no such stream."""
        name, _, number = event_id.rpartition("-")
        log = self.logs.get(name)
        if log is None or not number.isascii() or not number.isdigit() or len(number) > 15:
            return None
        return log, int(number)

    @property
    def busy(self) -> bool:
        """Whether somebody would miss this session now: a call is under way or a stream is open."""
        return bool(self.calls) or any(log.is_open for log in self.logs.values())

    def end(self) -> None:
        """Cancel what is under way and end every stream."""
        self.ended = True
        for cancel in list(self.calls.values()):
            cancel()
        self.calls.clear()
        for answer, _ in self.questions.values():
            answer(_GIVEN_UP)
        self.questions.clear()
        for action in self.on_end:
            action()
        # These know the session; parted, it does not wait for the garbage collector.
        self.on_end.clear()
        self.upstreams.clear()
        for log in self.logs.values():
            log.finish()
