"""Whether a head is looked up or parsed makes no difference but time."""

import pytest
from hypothesis import given, settings
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
BODIES = [b"", b"1", b"hello", b"\r\n\r\n", b"ength: 3\r\n\r\nabc", b"x" * 120, b"y" * 1200]
MESSAGE = st.tuples(st.sampled_from(HEADS), st.sampled_from(BODIES), st.sampled_from([0, 0, 0, 0, 1, -1, 7]))
DAMAGE = st.none() | st.tuples(st.floats(0, 1), st.sampled_from([b"\r", b"\n", b":", b" ", b"0", b"ength: 5", b"\0"]))


def told(home: FakeHome) -> list[tuple[object, ...]]:
    return [(each.method, each.path, each.query, each.headers, each.body, each.scheme) for each in home.seen]


@settings(max_examples=400)
@given(sent=st.lists(st.tuples(MESSAGE, DAMAGE, st.integers(1, 3)), min_size=1, max_size=8))
async def test_any_bytes_are_taken_alike_with_and_without_known_heads(sent: list) -> None:  # type: ignore[type-arg]
    knowing, parsing = FakeHome(), FakeHome(known_heads=0)
    one, other = connected(knowing), connected(parsing)
    for (head, body, off), damage, times in sent:
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
