"""Whether the head of an answer is looked up or parsed makes no difference but time."""

import asyncio
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.fakes.net_transport import FakeOwner, FakeTransport

from portico.net.connection import Connection
from portico.net.errors import NetError
from portico.net.known_answers import KnownAnswers
from portico.net.limits import ClientLimits

LOOP = asyncio.new_event_loop()
LIMITS = ClientLimits(body=2_000)
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
HEADS = [
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\nDate: x\r\nConnection: keep-alive\r\n\r\n",
    b"HTTP/1.1 404 Not Found\r\nContent-Length: %d\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n",
    b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n",
    b"HTTP/1.1 204 No Content\r\nX: %d\r\n\r\n",
    b"HTTP/1.1 304 Not Modified\r\nContent-Length: %d\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\nX: %d\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nX: %d\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nX: %d\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nUpgrade: h2c\r\nContent-Length: %d\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n",
    CHUNKED,
    b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nX: " + b"y" * 2_000 + b"\r\n\r\n",
    b"\r\nHTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n",
]
BODIES = [b"", b"1", b"hello", b"\r\n\r\n", b"5\r\nhello\r\n0\r\n\r\n", b"0\r\n\r\n", b"x" * 1_900, b"y" * 2_100]
FEW = st.lists(st.sampled_from(HEADS), min_size=1, max_size=2)
"""Of many heads, the same would hardly ever come twice."""
DAMAGE = (
    st.none()
    | st.none()
    | st.tuples(st.floats(0, 1), st.sampled_from([b"\r", b"\n", b":", b" ", b"0", b"\0", b"x\r\n\r\n"]))
)


class Upstream:
    """One connection after the other to one server, whose answers are remembered from one to the next, or are not."""

    def __init__(self, most: int) -> None:
        self._owner = FakeOwner(LIMITS)
        self._owner.known = KnownAnswers(most)
        self._open()

    def _open(self) -> None:
        self._transport = FakeTransport()
        self._connection = Connection(self._owner, LOOP)
        self._connection.connection_made(self._transport)

    def ask(self, pieces: list[bytes], how: str) -> tuple[Any, ...]:
        """What becomes of a request that is answered in these pieces, and of its connection."""
        connection = self._connection
        if how == "open":
            future: Any = connection.begin_either(b"", 100.0, None)
        else:
            future = connection.begin(b"", 100.0, None, how == "head")
        for piece in pieces:
            if not self._transport.aborted:
                connection.data_received(piece)
        done, error, answer = future.done(), None, None
        if done:
            error = future.exception()
            answer = None if error is not None else future.result()
        assert error is None or isinstance(error, NetError)
        found = (done, repr(error), answer and (type(answer), answer.status, answer.headers))
        kept = (self._transport.aborted, self._owner.released_count)
        body = getattr(answer, "body", None)
        if not done or self._transport.aborted or not hasattr(answer, "body"):
            connection.connection_lost(None)
            self._open()
        return (*found, body, *kept)


@settings(max_examples=400)
@given(
    heads=FEW,
    sent=st.lists(
        st.tuples(
            st.integers(0, 1),
            st.sampled_from(BODIES),
            st.sampled_from([0, 0, 0, 0, 1, -1, 7]),
            DAMAGE,
            st.integers(1, 3),
            st.sampled_from(["get", "get", "open", "head"]),
            st.floats(0, 1),
        ),
        min_size=2,
        max_size=8,
    ),
)
@example(
    heads=[CHUNKED], sent=[(0, body, 0, None, 1, "get", 1.0) for body in (b"5\r\nhello\r\n0\r\n\r\n", b"0\r\n\r\n")]
)
def test_any_bytes_are_taken_alike_with_and_without_known_answers(heads: list[bytes], sent: list) -> None:  # type: ignore[type-arg]
    knowing, parsing = Upstream(100), Upstream(0)
    for which, body, off, damage, times, how, cut in sent:
        head = heads[which % len(heads)]
        data = head.replace(b"%d", b"%d" % max(0, len(body) + off)) + body
        if damage is not None:
            at = int(damage[0] * len(data))
            data = data[:at] + damage[1] + data[at:]
        for turn in range(times):
            # The last time it comes in two pieces.
            at = int(cut * len(data)) if turn == 2 else len(data)
            pieces = [piece for piece in (data[:at], data[at:]) if piece]
            assert knowing.ask(pieces, how) == parsing.ask(pieces, how)


def test_an_answer_in_the_same_words_is_not_parsed_again() -> None:
    known = KnownAnswers()
    owner = FakeOwner(LIMITS)
    owner.known = known
    connection = Connection(owner, LOOP)
    connection.connection_made(FakeTransport())
    for body in (b"one", b"two", b"far"):
        future = connection.begin(b"", 100.0, None, False)
        connection.data_received(HEADS[0] % 3 + body)
        assert future.result().body == body
    assert known.find(HEADS[0] % 3 + b"ten") is not None
    assert known.find(HEADS[0] % 4 + b"four") is None
    known.forget()
    assert known.find(HEADS[0] % 3 + b"ten") is None


def test_a_server_that_never_says_the_same_twice_is_remembered_within_bounds() -> None:
    owner = FakeOwner(LIMITS)
    owner.known = KnownAnswers(100)
    connection = Connection(owner, LOOP)
    connection.connection_made(FakeTransport())
    answers = [b"HTTP/1.1 200 OK\r\nX: %d\r\nContent-Length: 0\r\n\r\n" % number for number in range(1_000)]
    for data in answers:
        connection.begin(b"", 100.0, None, False)
        connection.data_received(data)
    assert sum(owner.known.find(data) is not None for data in answers) == 100
