"""Whether a head is looked up or parsed makes no difference but time."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.fakes.ingress import FakeHome, connected

from portico.gateway.exchange import Request
from portico.gateway.ingress.known_heads import KnownHeads

pytestmark = pytest.mark.anyio

HOST = b"Host: a\r\n"
HEADS = [
    b"POST /a?b=c HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n",
    b"POST /a HTTP/1.1\r\n" + HOST + b"content-length: %d\r\nAccept: x\r\nX-Note: strength: 12\r\n\r\n",
    b"POST /b HTTP/1.1\r\nX-Strength: 3\r\nContent-Length: %d\r\n" + HOST + b"\r\n",
    b"POST /c HTTP/1.1\r\n" + HOST + b"Content-Length:%d\r\n\r\n",
    b"POST /d HTTP/1.1\r\n" + HOST + b"Connection: close\r\nContent-Length: %d\r\n\r\n",
    b"POST /e HTTP/1.0\r\n" + HOST + b"Content-Length: %d\r\n\r\n",
    b"POST /f HTTP/1.1\r\n" + HOST + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n",
    b"POST /g HTTP/1.1\r\n" + HOST + b"Upgrade: h2c\r\nContent-Length: %d\r\n\r\n",
    b"POST /h HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\nContent-Length: %d\r\n\r\n",
    b"POST /i HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\nContent-Length: 2\r\n\r\n",
    b"POST /j HTTP/1.1\r\n" + HOST + b"Content-L\r\nA: b%d\r\n\r\n",
    b"POST /k HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\nX: " + b"y" * 2000 + b"\r\n\r\n",
]
ELSEWHERE = HEADS[0].replace(b"/a", b"/z")
LONGER = HEADS[0].replace(b"\r\n\r\n", b"\r\nX: y\r\n\r\n")
"""Six bytes of its last line would be the beginning of the body, if nobody looked."""
BODIES = [b"", b"1", b"hello", b"\r\n\r\n", b"ength: 3\r\n\r\nabc", b"x" * 120, b"y" * 1200]
FEW = st.lists(st.sampled_from(HEADS), min_size=1, max_size=2)
"""Of many heads, the same would hardly ever come twice."""
MESSAGE = st.tuples(st.integers(0, 1), st.sampled_from(BODIES), st.sampled_from([0, 0, 0, 0, 1, -1, 7]))
DAMAGE = (
    st.none()
    | st.none()
    | st.tuples(st.floats(0, 1), st.sampled_from([b"\r", b"\n", b":", b" ", b"0", b"ength: 5", b"\0"]))
)


def told(home: FakeHome) -> list[tuple[object, ...]]:
    return [(each.method, each.path, each.query, each.headers, each.body, each.scheme) for each in home.seen]


@settings(max_examples=400)
@given(
    heads=FEW,
    sent=st.lists(st.tuples(MESSAGE, DAMAGE, st.integers(1, 3)), min_size=1, max_size=8),
    most=st.sampled_from([1, 2, 512]),
)
@example(heads=[HEADS[0], ELSEWHERE], sent=[((0, b"", 0), None, 2), ((1, b"", 0), None, 1)], most=9)
@example(heads=[HEADS[0], LONGER], sent=[((0, b"", 0), None, 2), ((1, b"hello", 6), None, 1)], most=9)
async def test_any_bytes_are_taken_alike_with_and_without_known_heads(
    heads: list[bytes], sent: list, most: int
) -> None:  # type: ignore[type-arg]
    knowing, parsing = FakeHome(known_heads=most), FakeHome(known_heads=0)
    one, other = connected(knowing), connected(parsing)
    for (which, body, off), damage, times in sent:
        head = heads[which % len(heads)]
        data = head % max(0, len(body) + off) + body
        if damage is not None:
            at = int(damage[0] * len(data))
            data = data[:at] + damage[1] + data[at:]
        for _ in range(times):
            for connection, transport in (one, other):
                if not transport.closed:
                    connection.data_received(data)
        assert told(knowing) == told(parsing)
        assert one[1].written == other[1].written
        assert one[1].closed == other[1].closed
        if one[1].closed:
            one, other = connected(knowing), connected(parsing)


async def test_the_same_head_is_parsed_once_whatever_the_length_of_the_body() -> None:
    home = FakeHome()
    connection, _ = connected(home)
    for body in (b"a", b"bb", b"c" * 100):
        connection.data_received(HEADS[0] % len(body) + body)
    first, second, third = home.seen
    assert first.known is second.known is third.known is not None
    assert [each.headers[b"content-length"] for each in home.seen] == [b"1", b"2", b"100"]


async def test_a_head_that_made_room_for_others_is_parsed_anew_by_the_connection_that_remembers_it() -> None:
    home = FakeHome(known_heads=1)
    connection, _ = connected(home)
    other, _ = connected(home)
    for each, head in ((connection, HEADS[0]), (connection, HEADS[0]), (other, HEADS[1]), (connection, HEADS[0])):
        each.data_received(head % 1 + b"a")
    first, second, _, last = (request.known for request in home.seen)
    assert first is second is not None
    assert last is not first
    assert first.headers == {}, "It holds memory, though nobody can find it any more."


async def test_a_head_that_was_forgotten_takes_nothing_for_whole() -> None:
    home = FakeHome(known_heads=1)
    connection, _ = connected(home)
    other, _ = connected(home)
    for each, head in ((connection, HEADS[0]), (connection, HEADS[0]), (other, HEADS[1])):
        each.data_received(head % 1 + b"a")
    # With the four bytes behind its digits it would be long enough.
    connection.data_received(HEADS[0] % 5 + b"a")
    assert len(home.seen) == 3
    connection.data_received(b"bcde")
    assert home.seen[-1].body == b"abcde"


def test_a_head_that_is_learnt_again_stays_the_one_that_connections_remember() -> None:
    """Or what it keeps of a snapshot would not be forgotten with the others."""
    heads = KnownHeads()
    data = HEADS[0] % 2 + b"hi"
    request = Request("POST", b"/a", b"b=c", {b"host": b"a", b"content-length": b"2"}, b"hi")
    first = heads.learn(data, request)
    assert first is not None
    assert heads.learn(data, request) is first
    first.lane = object()
    heads.forget_lanes()
    assert first.lane is None


def test_no_more_heads_are_remembered_than_may_be() -> None:
    heads = KnownHeads(3)
    for number in range(10):
        data = b"POST /%d HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nhi" % number
        request = Request("POST", b"/%d" % number, b"", {b"host": b"a", b"content-length": b"2"}, b"hi")
        assert heads.learn(data, request) is not None
        found = heads.find(data)
        assert found is not None
        assert found[2] == b"hi"
        assert sum(heads.find(data.replace(b"/%d " % number, b"/%d " % n)) is not None for n in range(10)) <= 3
