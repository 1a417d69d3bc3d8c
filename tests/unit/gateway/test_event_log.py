"""Whatever a client's connections do, each event reaches it once and in order while it lies within the log's bounds."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from tests.fakes.http_wire import Event, EventParser

from portico.gateway.session.session import EventLog, Session


class Sink:
    def __init__(self) -> None:
        self.parser = EventParser()
        self.closed = False

    def write(self, data: bytes) -> None:
        assert not self.closed, "written after the end"
        self.parser.feed(data)

    def close(self) -> None:
        self.closed = True


class Resuming(RuleBasedStateMachine):
    """A client that reads, breaks off and resumes with the last id that it saw, as the specification has it."""

    def __init__(self) -> None:
        super().__init__()
        self.session = Session("w.n.m", "/users", None, "127.0.0.1", 0.0)
        self.log = self.session.open_log()
        self.sink: Sink | None = None
        self.read: list[Event] = []
        self.taken = 0
        self.sent = 0
        self.since = 0

    @rule(count=st.integers(1, 20))
    def send(self, count: int) -> None:
        for _ in range(count):
            self.sent += 1
            self.log.send(b'{"number":%d}' % self.sent)
        self.since = 0 if self._open() else self.since + count

    @rule()
    def connect_or_resume(self) -> None:
        self._take(1 << 30)
        sink = Sink()
        last = self.read[-1].identifier if self.read else None
        found = self.session.find_log(last) if last is not None else None
        assert last is None or found is not None
        before, self.sink, self.taken = self.sink, sink, 0
        self.log.connect(sink, found[1] if found is not None else None)
        assert before is None or before.closed
        if found is None:
            self.log.prime(1000)

    @precondition(lambda self: self._open())
    @rule(most=st.integers(0, 5))
    def read_some_and_break(self, most: int) -> None:
        self._take(most)
        assert self.sink is not None
        self.sink.closed = True
        if not self.read:
            # Nothing was seen, so nothing can be named: the client reads what the broken connection had.
            self._take(1 << 30)
        self.sink = None

    @precondition(lambda self: self._open())
    @rule()
    def read_on(self) -> None:
        self._take(1 << 30)

    def _open(self) -> bool:
        return self.sink is not None and not self.sink.closed

    def _take(self, most: int) -> None:
        if self.sink is not None:
            new = self.sink.parser.events[self.taken : self.taken + most]
            self.taken += len(new)
            self.read += new

    @invariant()
    def each_event_once_and_in_order(self) -> None:
        numbers = [event.json["number"] for event in self.read if event.data]
        assert numbers == sorted(set(numbers))
        identifiers = [event.identifier for event in self.read]
        assert len(set(identifiers)) == len(identifiers)
        # Within the bounds nothing is missing either.
        if self.sent <= EventLog.EVENTS:
            assert numbers == list(range(1, len(numbers) + 1))

    def teardown(self) -> None:
        if self.sent <= EventLog.EVENTS:
            self.connect_or_resume()
            self._take(1 << 30)
            assert [event.json["number"] for event in self.read if event.data] == list(range(1, self.sent + 1))


TestResuming = Resuming.TestCase
TestResuming.settings = settings(max_examples=60, stateful_step_count=30)


def test_the_log_is_bounded_by_number_and_by_size() -> None:
    log = EventLog("1")
    for _ in range(EventLog.EVENTS * 2):
        log.send(b"{}")
    sink = Sink()
    log.connect(sink, None)
    assert len(sink.parser.events) == EventLog.EVENTS
    large = EventLog("2")
    for _ in range(5):
        large.send(b"x" * (EventLog.BYTES // 2))
    sink = Sink()
    large.connect(sink, 0)
    assert sum(len(event.data) for event in sink.parser.events) <= EventLog.BYTES


def test_one_message_larger_than_the_bound_is_kept_until_the_next() -> None:
    log, sink = EventLog("1"), Sink()
    log.send(b"x" * (EventLog.BYTES * 2))
    log.connect(sink, None)
    assert len(sink.parser.events) == 1


def test_a_log_that_is_done_ends_the_stream_that_resumes_it() -> None:
    log, sink = EventLog("1"), Sink()
    log.send(b'{"number":1}')
    log.finish()
    log.connect(sink, 0)
    assert [event.json for event in sink.parser.events] == [{"number": 1}]
    assert sink.closed


def test_an_event_id_of_another_stream_names_no_log() -> None:
    session = Session("w.n.m", "/users", None, "127.0.0.1", 0.0)
    log = session.open_log()
    assert session.find_log(f"{log.name}-3") == (log, 3)
    numbers = ("", "x", "٣", "-1", "9" * 20)
    for wrong in ("", "-", "9-1", "0" * 9000, *(f"{log.name}-{number}" for number in numbers)):
        assert session.find_log(wrong) is None


def test_a_session_keeps_few_streams_that_are_done() -> None:
    session = Session("w.n.m", "/users", None, "127.0.0.1", 0.0)
    for _ in range(Session.MOST_LOGS * 5):
        session.open_log().finish()
    assert len(session.logs) <= Session.MOST_LOGS + 1
    assert session.logs["0"] is session.standing
