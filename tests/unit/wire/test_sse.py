"""The event-stream writer, read back by an independent parser: no content ends, splits or forges an event."""

import json
import re

from hypothesis import given
from hypothesis import strategies as st
from tests.fakes.http_wire import Event, EventParser

from portico.wire import sse

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
NASTY = st.lists(
    st.sampled_from(
        ["\n", "\r", "\r\n", "\n\n", "\u2028", "\u0085", "\0", "\ufeff", "data: x", "event: forged", "id: 9", ":", " "]
    )
    | TEXT
).map("".join)
PIECES = st.lists(st.integers(1, 50), min_size=1, max_size=200)


def parse(stream: bytes, pieces: list[int]) -> list[Event]:
    """Fed in pieces of any sizes, as a network would."""
    parser, at, turn = EventParser(), 0, 0
    while at < len(stream):
        size = pieces[turn % len(pieces)]
        parser.feed(stream[at : at + size])
        at, turn = at + size, turn + 1
    return parser.events


def as_lines(text: str) -> str:
    """What the format can say of a text: each line break as one line feed."""
    return re.sub("\r\n|\r", "\n", text)


@given(st.lists(NASTY | TEXT, min_size=1, max_size=5), PIECES)
def test_each_event_comes_back_alone_and_whole(texts: list[str], pieces: list[int]) -> None:
    stream = b"".join(sse.event(text.encode(), identifier=f"7-{number}") for number, text in enumerate(texts))
    events = parse(stream, pieces)
    assert [event.data for event in events] == [as_lines(text) for text in texts]
    assert [event.identifier for event in events] == [f"7-{number}" for number in range(len(texts))]
    assert {event.name for event in events} == {"message"}


@given(st.lists(NASTY | TEXT, max_size=5), PIECES)
def test_any_json_comes_back_to_the_last_byte(texts: list[str], pieces: list[int]) -> None:
    for ascii_only in (True, False):
        raw = json.dumps(texts, ensure_ascii=ascii_only)
        (event,) = parse(sse.event(raw.encode()), pieces)
        assert event.data == raw
        assert event.identifier is None


@given(st.binary(), st.binary())
def test_any_bytes_are_one_event_and_leave_the_next_alone(data: bytes, after: bytes) -> None:
    events = parse(sse.event(b"x" + data) + sse.event(b"y" + after, name=b"endpoint"), [1 << 20])
    assert len(events) == 2
    assert events[0].data == as_lines((b"x" + data).decode("utf-8", "replace"))
    assert (events[1].name, events[1].data[:1]) == ("endpoint", "y")


def test_a_long_message_is_one_event() -> None:
    raw = json.dumps({"text": "long " * 400_000})
    (event,) = parse(sse.event(raw.encode()), [65536])
    assert event.data == raw


@given(st.integers(0, 10**9), PIECES)
def test_priming_gives_an_id_and_a_time_and_nothing_else(retry: int, pieces: list[int]) -> None:
    (event,) = parse(sse.priming("3-1", retry), pieces)
    assert (event.identifier, event.retry, event.data) == ("3-1", retry, "")


@given(st.lists(st.booleans(), max_size=20), PIECES)
def test_keep_alive_is_no_event(order: list[bool], pieces: list[int]) -> None:
    stream = b"".join(sse.KEEP_ALIVE if quiet else sse.event(b"{}") for quiet in order)
    assert len(parse(stream, pieces)) == order.count(False)
