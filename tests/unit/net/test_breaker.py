"""When an origin is left alone, for how long, and how it comes back; the pause is short where sockets are real."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fakes.net_servers import Server, answering, read_request, serving, until_dropped
from tests.fakes.net_transport import AtOnce

from portico.net.breaker import Breaker
from portico.net.egress import Egress
from portico.net.errors import NetError, Rejected, TimedOut, Unreachable
from portico.net.http_client import HttpClient
from portico.net.limits import ClientLimits
from portico.net.origin import Origin
from portico.net.pool import Pool
from portico.net.response import Response

GET = b"GET /thing HTTP/1.1\r\nHost: api.test\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
QUICK = ClientLimits(breaker_pause=0.2)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0
        self.breaker = Breaker("api.test:80", ClientLimits())

    def fail(self, times: int) -> None:
        for _ in range(times):
            self.breaker.failed(self.now, "connection refused")

    def is_let_through(self) -> bool:
        if not self.breaker.is_open:
            return True
        try:
            self.breaker.admit(self.now)
        except Rejected:
            return False
        return True


def test_five_failures_in_a_row_open_it_and_four_do_not() -> None:
    clock = Clock()
    clock.fail(4)
    assert clock.is_let_through()
    clock.breaker.recovered()
    clock.fail(4)
    assert clock.is_let_through()
    clock.fail(1)
    assert not clock.is_let_through()


def test_each_try_that_fails_makes_the_pause_longer_up_to_five_minutes() -> None:
    clock = Clock()
    clock.fail(5)
    for pause in (30, 60, 90, 120, 150, 180, 210, 240, 270, 300, 300, 300):
        clock.now += pause - 1
        assert not clock.is_let_through()
        clock.now += 1
        assert clock.is_let_through()
        clock.fail(1)
    clock.now += 300
    assert clock.is_let_through()
    clock.breaker.recovered()
    clock.fail(5)
    assert clock.breaker.seconds(clock.now) == 30


def test_one_call_tries_and_the_others_fail_meanwhile() -> None:
    clock = Clock()
    clock.fail(5)
    clock.now += 30
    assert [clock.is_let_through() for _ in range(3)] == [True, False, False]
    clock.breaker.gave_up(clock.now)
    assert [clock.is_let_through() for _ in range(3)] == [True, False, False]


def test_what_began_before_it_opened_does_not_make_the_pause_longer() -> None:
    clock = Clock()
    clock.fail(105)
    assert clock.breaker.seconds(clock.now) == 30


def test_the_error_says_who_is_left_alone_for_how_long_and_why() -> None:
    clock = Clock()
    clock.fail(5)
    clock.now += 3
    with pytest.raises(Rejected) as raised:
        clock.breaker.admit(clock.now)
    expected = "api.test:80 failed 5 times in a row and is tried again in 27 s; at last: connection refused"
    assert (raised.value.message, raised.value.sent) == (expected, False)


@given(st.lists(st.sampled_from(["fail", "recover", "admit", "give up"]) | st.floats(0, 400)))
def test_whatever_happens_it_is_tried_again_within_five_minutes(events: list[Any]) -> None:
    clock = Clock()
    for event in events:
        if event == "fail":
            clock.fail(1)
        elif event == "recover":
            clock.breaker.recovered()
        elif event == "admit":
            clock.is_let_through()
        elif event == "give up":
            clock.breaker.gave_up(clock.now)
        else:
            clock.now += event
    clock.now += 300
    assert clock.is_let_through()


# With sockets ---------------------------------------------------------------------------------------------------------


async def send(client: HttpClient, port: int, **options: Any) -> Response:
    options = {"deadline": asyncio.get_running_loop().time() + 5, "idempotent": False, **options}
    return await asyncio.wait_for(client.send(Origin("http", "127.0.0.1", port), GET, **options), 10)


async def fail_five_times(client: HttpClient, port: int, kind: type[NetError], **options: Any) -> None:
    for _ in range(5):
        with pytest.raises(kind):
            await send(client, port, **options)


@contextlib.asynccontextmanager
async def quick() -> AsyncIterator[HttpClient]:
    client = HttpClient(Egress.parse("any"), QUICK)
    try:
        yield client
    finally:
        await client.aclose()


async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)
    writer.transport.abort()


@pytest.mark.anyio
@pytest.mark.parametrize("trouble", ["refuses", "resets", "is silent"])
async def test_an_origin_in_trouble_is_left_alone_and_comes_back(trouble: str) -> None:
    async with quick() as client:
        handler = hang_up if trouble == "resets" else lambda reader, writer: until_dropped(reader)
        async with serving(handler) as server:
            port = server.port
            if trouble != "refuses":
                kind = Unreachable if trouble == "resets" else TimedOut
                await fail_five_times(client, port, kind, first_byte=0.01)
        if trouble == "refuses":
            await fail_five_times(client, port, Unreachable)
        with pytest.raises(Rejected, match="5 times in a row"):
            await send(client, port)
        assert next(figures for _, figures in client.figures()).broken > 0
        async with serving(answering(OK), port=port), asyncio.timeout(5):
            while not await _answered(client, port):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
            assert (await send(client, port)).status == 200
            assert next(figures for _, figures in client.figures()).broken == 0


async def _answered(client: HttpClient, port: int) -> bool:
    try:
        return (await send(client, port)).status == 200
    except Rejected:
        return False


@pytest.mark.anyio
async def test_no_status_and_no_broken_rule_of_ours_opens_it() -> None:
    failing = b"HTTP/1.1 503 Down\r\nContent-Length: 0\r\n\r\n"
    large = b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 300 + b"\r\n"
    for answer, kind in ((failing, None), (large, Rejected), (b"nonsense\r\n\r\n", NetError)):
        async with quick() as client, serving(answering(answer)) as server:
            for _ in range(12):
                if kind is None:
                    assert (await send(client, server.port)).status == 503
                    continue
                with pytest.raises(kind) as raised:
                    await send(client, server.port)
                assert "in a row" not in raised.value.message


@pytest.mark.anyio
async def test_a_call_that_its_client_gives_up_is_no_failure_and_holds_nobody_up(soon: Any) -> None:
    async with quick() as client, serving(lambda reader, writer: until_dropped(reader)) as server:
        for _ in range(6):
            task = asyncio.create_task(send(client, server.port))
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await fail_five_times(client, server.port, TimedOut, first_byte=0.01)
        async with asyncio.timeout(5):
            while not await _cancelled_try(client, server):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        # Whoever tried has gone away, so that the next one tries.
        with pytest.raises(TimedOut):
            await send(client, server.port, first_byte=0.01)


async def _cancelled_try(client: HttpClient, server: Server) -> bool:
    """Whether a call was let through; then it was cancelled in the middle."""
    task = asyncio.create_task(send(client, server.port))
    done, _ = await asyncio.wait([task], timeout=0.05)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return not done


@pytest.mark.anyio
async def test_repeated_requests_have_a_budget_of_a_fifth() -> None:
    origin = Origin("http", "127.0.0.1", 80)
    pool = Pool(origin, ClientLimits(), None, asyncio.get_running_loop(), AtOnce())  # type: ignore[arg-type]
    assert sum(pool.may_retry() for _ in range(100)) == 10
    pool.requests += 100
    assert sum(pool.may_retry() for _ in range(100)) == 20


async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One answer to each connection; the next request on it meets a closed door."""
    await read_request(reader)
    writer.write(OK)
    await read_request(reader)
    writer.transport.abort()


@pytest.mark.anyio
async def test_kept_connections_that_were_closed_meanwhile_say_nothing_of_the_origin() -> None:
    async with quick() as client, serving(once) as server:
        await asyncio.gather(*(send(client, server.port) for _ in range(8)))
        for _ in range(8):
            with pytest.raises(Unreachable):
                await send(client, server.port)
        assert (await send(client, server.port)).status == 200


@pytest.mark.anyio
async def test_beyond_the_budget_a_request_is_not_repeated() -> None:
    async with quick() as client, serving(once) as server:
        assert (await send(client, server.port, idempotent=True)).status == 200
        assert (await send(client, server.port, idempotent=True)).status == 200
        (pool,) = client._pools.values()
        pool.retries += 20
        with pytest.raises(Unreachable):
            await send(client, server.port, idempotent=True)
