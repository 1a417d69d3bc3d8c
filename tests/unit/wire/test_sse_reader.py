"""Events come out the same however their bytes are cut."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico.wire import sse
from portico.wire.sse_reader import Event, EventReader

text = st.text(st.characters(blacklist_characters="\r\n\0", blacklist_categories=["Cs"]), max_size=20)
field = st.one_of(
    st.tuples(st.sampled_from(["data", "event", "id", "retry", "other", ""]), text).map(
        lambda pair: f"{pair[0]}:{pair[1]}"
    ),
    st.sampled_from(["data", "data:", "data: ", "id", "event", ": comment", "retry: 50", "data:  two"]),
    st.just(""),
)
streams = st.lists(st.tuples(field, st.sampled_from(["\n", "\r", "\r\n"])), max_size=30).map(
    lambda lines: "".join(line + end for line, end in lines).encode()
)


def read(pieces: list[bytes]) -> tuple[list[Event], bytes | None, int | None]:
    reader = EventReader()
    found = [event for piece in pieces for event in reader.feed(piece)]
    return found, reader.last_id, reader.retry


def expected(stream: bytes) -> list[Event]:
    """The specification's algorithm, line by line, over the whole stream."""
    found, name, data = [], "", []
    for line in stream.removeprefix(b"\xef\xbb\xbf").splitlines():
        if not line:
            if any(data) or len(data) > 1:
                found.append(Event(name or "message", b"\n".join(data)))
            name, data = "", []
        else:
            key, _, value = line.partition(b":")
            value = value.removeprefix(b" ")
            if key == b"data":
                data.append(value)
            elif key == b"event":
                name = value.decode()
    return found


@given(streams, st.lists(st.integers(0, 400), max_size=12))
def test_any_split_gives_the_same_events(stream: bytes, cuts: list[int]) -> None:
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    pieces = [stream[start:end] for start, end in pairwise(edges)]
    assert read(pieces) == read([stream]) == read([stream[at : at + 1] for at in range(len(stream))])
    assert read([stream])[0] == expected(stream)


@given(st.binary(max_size=300))
def test_any_bytes_are_read_without_error(stream: bytes) -> None:
    read([stream])


def test_what_we_write_is_what_we_read() -> None:
    stream = sse.priming("s-0", 500) + sse.event(b'{"a":1}', identifier="s-1") + sse.event(b"two\nlines")
    assert read([stream]) == ([Event("message", b'{"a":1}'), Event("message", b"two\nlines")], b"s-1", 500)


def test_an_event_ends_at_a_carriage_return_that_nothing_follows_yet() -> None:
    assert read([b"data: x\r\r"])[0] == [Event("message", b"x")]


def test_an_id_with_a_null_is_ignored_and_an_empty_one_counts() -> None:
    assert read([b"id: a\n\nid: b\0\n\n"])[1] == b"a"
    assert read([b"id: a\n\nid\n\n"])[1] == b""


@pytest.mark.parametrize("piece", [b"data: xxxxxxxx\n", b"xxxxxxxxx", b":xxxxxxxx", b"other: xx\n"])
def test_an_event_without_end_is_refused(piece: bytes) -> None:
    reader = EventReader(longest=100)

    def feed_on() -> None:
        for _ in range(20):
            reader.feed(piece)

    with pytest.raises(ValueError, match="an event of more than 100 bytes"):
        feed_on()


def test_comments_may_go_on_for_ever() -> None:
    reader = EventReader(longest=100)
    for _ in range(50):
        reader.feed(b": keep-alive\n")


def test_events_have_their_limit_each() -> None:
    reader = EventReader(longest=100)
    assert sum(len(reader.feed(b"data: 0123456789\n\n")) for _ in range(50)) == 50
