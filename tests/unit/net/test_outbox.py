"""What connections say in one turn of the loop: all of it, in order, and before the loop reads again."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fakes.net_transport import FakeTransport

from portico.net.outbox import LARGE, MOST, Outbox

pytestmark = pytest.mark.anyio


async def turn() -> None:
    """One turn of the loop."""
    await asyncio.sleep(0)


async def test_what_is_said_in_one_turn_is_written_after_it() -> None:
    outbox, one, other = Outbox(asyncio.get_running_loop()), FakeTransport(), FakeTransport()
    outbox.say(one, b"a")
    outbox.say(other, b"b")
    outbox.say(one, b"c")
    assert one.written == other.written == b""
    await turn()
    assert (one.written, other.written) == (b"ac", b"b")


async def test_what_is_said_later_is_written_too() -> None:
    outbox, transport = Outbox(asyncio.get_running_loop()), FakeTransport()
    for piece in (b"a", b"b", b"c"):
        outbox.say(transport, piece)
        await turn()
        assert transport.written.endswith(piece)


async def test_what_is_large_is_written_at_once_and_in_its_turn() -> None:
    outbox, transport = Outbox(asyncio.get_running_loop()), FakeTransport()
    outbox.say(transport, b"a")
    outbox.say(transport, b"b" * LARGE)
    assert transport.written == b"a" + b"b" * LARGE


async def test_pieces_of_something_long_are_written_in_their_turn_without_being_joined() -> None:
    outbox, one, other = Outbox(asyncio.get_running_loop()), FakeTransport(), FakeTransport()
    outbox.say(one, b"a")
    outbox.say_long(one, (b"b", b"c"))
    assert one.written == b"abc"
    other.abort()
    outbox.say_long(other, (b"b", b"c"))
    assert other.written == b""


async def test_no_more_is_kept_than_a_few_writes() -> None:
    outbox, transport = Outbox(asyncio.get_running_loop()), FakeTransport()
    for _ in range(MOST):
        outbox.say(transport, b"a")
    assert transport.written == b"a" * MOST


async def test_a_transport_that_closes_meanwhile_is_passed_over() -> None:
    outbox, one, other = Outbox(asyncio.get_running_loop()), FakeTransport(), FakeTransport()
    outbox.say(one, b"a")
    outbox.say(other, b"b")
    one.abort()
    outbox.flush()
    assert (one.written, other.written) == (b"", b"b")


@given(
    st.lists(st.tuples(st.integers(0, 2), st.binary(max_size=3) | st.just(b"x" * LARGE), st.booleans()), max_size=80)
)
def test_each_transport_gets_what_was_said_to_it_in_order(said: list[tuple[int, bytes, bool]]) -> None:
    async def talk() -> None:
        outbox, transports = Outbox(asyncio.get_running_loop()), [FakeTransport() for _ in range(3)]
        for number, data, pauses in said:
            outbox.say(transports[number], data)
            if pauses:
                await turn()
        await turn()
        for number, transport in enumerate(transports):
            assert transport.written == b"".join(data for to, data, _ in said if to == number)

    asyncio.run(talk())
