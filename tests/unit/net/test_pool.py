"""The pool alone, with a dialer that connects when the test says so."""

import asyncio
import math
from collections.abc import Callable

import pytest
from tests.fakes.net_transport import AtOnce, FakeTransport

from portico.net.connection import Connection
from portico.net.errors import Unreachable
from portico.net.limits import ClientLimits
from portico.net.origin import Origin
from portico.net.pool import Pool

pytestmark = pytest.mark.anyio

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
GET = b"GET / HTTP/1.1\r\n\r\n"


class DialerOnCue:
    """Each dial waits until the test lets it succeed or fail, in order."""

    def __init__(self) -> None:
        self.dials: list[asyncio.Future[None]] = []

    async def dial(self, origin: Origin, make: Callable[[], Connection]) -> Connection:
        cue = asyncio.get_running_loop().create_future()
        self.dials.append(cue)
        await cue
        connection = make()
        connection.connection_made(FakeTransport())
        return connection


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def pool_of(connections: int) -> tuple[Pool, DialerOnCue]:
    dialer = DialerOnCue()
    origin = Origin("http", "fake.test", 80)
    return Pool(origin, ClientLimits(connections=connections), dialer, asyncio.get_running_loop(), AtOnce()), dialer  # type: ignore[arg-type]


async def connected(pool: Pool, dialer: DialerOnCue) -> Connection:
    waiting = asyncio.ensure_future(pool.wait(math.inf))
    await settle()
    dialer.dials.pop(0).set_result(None)
    return await waiting


async def test_who_wants_a_fresh_connection_is_not_handed_a_used_one():
    pool, dialer = pool_of(2)
    used = await connected(pool, dialer)
    used.begin(GET, math.inf, None, False)
    waiting = asyncio.ensure_future(pool.wait(math.inf, fresh=True))
    await settle()
    used.data_received(OK)
    await settle()
    assert not waiting.done()
    assert pool.idle == [used]
    dialer.dials.pop(0).set_result(None)
    assert await waiting is not used


async def test_an_idle_connection_makes_room_for_a_fresh_one():
    pool, dialer = pool_of(1)
    used = await connected(pool, dialer)
    used.begin(GET, math.inf, None, False)
    used.data_received(OK)
    waiting = asyncio.ensure_future(pool.wait(math.inf, fresh=True))
    await settle()
    assert used.closed
    dialer.dials.pop(0).set_result(None)
    assert await waiting is not used


async def test_a_connection_handed_to_a_caller_who_has_just_given_up_goes_to_the_next():
    pool, dialer = pool_of(1)
    used = await connected(pool, dialer)
    used.begin(GET, math.inf, None, False)
    first, second = (asyncio.ensure_future(pool.wait(math.inf)) for _ in range(2))
    await settle()
    used.data_received(OK)
    first.cancel()
    assert await asyncio.wait_for(second, 5) is used
    assert first.cancelled()


async def test_a_caller_who_is_served_by_a_released_connection_leaves_the_dialled_one_to_the_pool():
    pool, dialer = pool_of(2)
    used = await connected(pool, dialer)
    used.begin(GET, math.inf, None, False)
    waiting = asyncio.ensure_future(pool.wait(math.inf))
    await settle()
    used.data_received(OK)
    assert await waiting is used
    dialer.dials.pop(0).set_result(None)
    await settle()
    assert len(pool.idle) == 1
    assert pool.figures().open == 2


async def test_a_lost_connection_is_replaced_for_those_who_wait():
    pool, dialer = pool_of(1)
    used = await connected(pool, dialer)
    waiting = asyncio.ensure_future(pool.wait(math.inf))
    await settle()
    assert not dialer.dials
    used.close()
    await settle()
    dialer.dials.pop(0).set_result(None)
    assert await waiting is not used


async def test_a_dial_that_fails_fails_the_caller_who_has_waited_longest():
    pool, dialer = pool_of(2)
    first, second = (asyncio.ensure_future(pool.wait(math.inf)) for _ in range(2))
    await settle()
    dialer.dials.pop(1).set_exception(Unreachable("no"))
    await settle()
    assert isinstance(first.exception(), Unreachable)
    dialer.dials.pop(0).set_result(None)
    assert await second


async def test_closing_a_pool_leaves_nothing_behind():
    pool, dialer = pool_of(2)
    used = await connected(pool, dialer)
    future = used.begin(GET, math.inf, None, False)
    waiting = asyncio.ensure_future(pool.wait(math.inf))
    await settle()
    pool.close()
    await settle()
    assert isinstance(waiting.exception(), Unreachable)
    assert isinstance(future.exception(), Unreachable)
    assert pool.is_empty


@pytest.mark.parametrize("works", [True, False])
@pytest.mark.parametrize("turns", range(4))
async def test_a_caller_that_is_cancelled_while_its_connection_comes_about_is_passed_over(works: bool, turns: int):
    pool, dialer = pool_of(2)
    gone, waiting = (asyncio.ensure_future(pool.wait(math.inf)) for _ in range(2))
    await settle()
    for dial in dialer.dials:
        if works:
            dial.set_result(None)
        else:
            dial.set_exception(OSError("refused"))
    for _ in range(turns):
        await asyncio.sleep(0)
    gone.cancel()
    await settle()
    assert waiting.done()
    assert (waiting.exception() is None) is works
    assert pool.figures().open - pool.figures().idle == (works and not gone.cancelled()) + works
    pool.close()
    await settle()


async def test_the_sweep_passes_over_a_caller_that_has_just_been_cancelled():
    pool, _ = pool_of(2)
    gone = asyncio.ensure_future(pool.wait(1.0))
    await settle()
    gone.cancel()
    pool.sweep(2.0)
    await settle()
    assert gone.cancelled()
    pool.close()


async def test_what_a_server_said_is_forgotten_at_the_next_sweep():
    pool, dialer = pool_of(1)
    connection = await connected(pool, dialer)
    connection.begin(GET, math.inf, None, False)
    connection.data_received(OK)
    assert pool.known.find(OK) is not None
    pool.sweep(0.0)
    assert pool.known.find(OK) is None
