import asyncio
import gzip
import os
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tests.fakes.net_servers import answering, read_request, serving, until_dropped
from tests.fakes.net_transport import wired

from portico.net.egress import Egress
from portico.net.errors import Malformed, Rejected, TimedOut
from portico.net.http_client import HttpClient
from portico.net.limits import ClientLimits
from portico.net.origin import Origin

pytestmark = pytest.mark.anyio

GET = b"GET / HTTP/1.1\r\nHost: api.test\r\n\r\n"
EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

Soon = Callable[[Awaitable[Any]], Awaitable[Any]]


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def here(port: int) -> Origin:
    return Origin("http", "127.0.0.1", port)


async def all_of(stream) -> bytes:
    return b"".join([piece async for piece in stream])


async def test_pieces_are_delivered_as_they_arrive(client, soon: Soon):
    more = asyncio.Event()

    async def handle(reader, writer):
        await read_request(reader)
        writer.write(EVENTS)
        await writer.drain()
        for piece in (b"one", b"two"):
            await more.wait()
            more.clear()
            writer.write(chunk(piece))
        await more.wait()
        writer.write(b"0\r\n\r\n")
        await until_dropped(reader)

    async with serving(handle) as server:
        stream = await soon(client.stream(here(server.port), GET, deadline=None))
        assert stream.status == 200
        assert stream.header(b"content-type") == b"text/event-stream"
        assert (b"transfer-encoding", b"chunked") in stream.headers
        for piece in (b"one", b"two"):
            more.set()
            assert await soon(anext(stream)) == piece
        more.set()
        with pytest.raises(StopAsyncIteration):
            await soon(anext(stream))
        with pytest.raises(StopAsyncIteration):
            await soon(anext(stream))
        await stream.aclose()
        assert [found.idle for _, found in client.figures()] == [1]


@pytest.mark.parametrize("answer", [OK, EVENTS + chunk(b"ok") + b"0\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\nok"])
async def test_a_short_answer_can_be_streamed_and_the_connection_reused(client, soon: Soon, answer):
    async with serving(answering(answer, close=answer.endswith(b"\n\r\nok") and b"Length" not in answer)) as server:
        for _ in range(3):
            async with await soon(client.stream(here(server.port), GET, deadline=None)) as stream:
                assert await soon(all_of(stream)) == b"ok"
        assert server.connections == (3 if b"Length" not in answer and b"chunked" not in answer else 1)


async def test_closing_a_stream_drops_the_connection(client, soon: Soon):
    async def handle(reader, writer):
        await read_request(reader)
        writer.write(EVENTS + chunk(b"one"))
        await until_dropped(reader)

    async with serving(handle) as server:
        stream = await soon(client.stream(here(server.port), GET, deadline=None))
        await stream.aclose()
        await soon(server.all_closed.wait())
        with pytest.raises(StopAsyncIteration):
            await soon(anext(stream))


@pytest.mark.parametrize("in_body", [True, False])
async def test_cancelling_the_consumer_drops_the_connection(client, soon: Soon, in_body):
    began = asyncio.Event()

    async def handle(reader, writer):
        await read_request(reader)
        writer.write(EVENTS if in_body else EVENTS[:20])
        began.set()
        await until_dropped(reader)

    async def consume():
        stream = await client.stream(here(server.port), GET, deadline=None)
        await all_of(stream)

    async with serving(handle) as server:
        task = asyncio.create_task(consume())
        await soon(began.wait())
        task.cancel()
        await soon(server.all_closed.wait())
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_a_slow_consumer_stops_the_reading_until_it_has_caught_up(soon: Soon):
    connection, transport, owner = wired(asyncio.get_running_loop(), ClientLimits(stream_buffer=1000))
    future = connection.begin_stream(GET, 100.0, None)
    connection.data_received(EVENTS + chunk(bytes(900)))
    stream = await soon(future)
    assert not transport.paused
    connection.data_received(chunk(bytes(200)))
    assert transport.paused
    await soon(anext(stream))
    assert not transport.paused
    connection.data_received(chunk(bytes(2000)))
    assert transport.paused
    connection.data_received(b"0\r\n\r\n")
    assert not transport.paused
    assert owner.released_count == 1
    assert len(await soon(all_of(stream))) == 2200
    assert not transport.aborted


async def test_a_long_body_arrives_whole(client, soon: Soon):
    body = os.urandom(1 << 16)

    async def handle(reader, writer):
        await read_request(reader)
        writer.write(EVENTS)
        for _ in range(640):
            writer.write(chunk(body))
            await writer.drain()
        writer.write(b"0\r\n\r\n")
        await until_dropped(reader)

    async with serving(handle) as server:
        stream = await soon(client.stream(here(server.port), GET, deadline=None))
        assert await soon(all_of(stream)) == body * 640
        assert [found.idle for _, found in client.figures()] == [1]


async def test_a_stream_that_breaks_off_says_so_after_what_came(client, soon: Soon):
    async with serving(answering(EVENTS + chunk(b"one"), close=True)) as server:
        stream = await soon(client.stream(here(server.port), GET, deadline=None))
        assert await soon(anext(stream)) == b"one"
        with pytest.raises(Malformed, match="mid-answer"):
            await soon(anext(stream))


async def test_a_compressed_stream_is_decoded_piece_by_piece(client, soon: Soon):
    text = os.urandom(50_000).hex().encode()
    packed = gzip.compress(text)
    answer = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s" % (len(packed), packed)
    async with serving(answering(answer)) as server:
        stream = await soon(client.stream(here(server.port), GET, deadline=None))
        assert await soon(all_of(stream)) == text


async def test_a_bomb_in_a_stream_is_rejected_while_little_is_unpacked(client, soon: Soon):
    packed = gzip.compress(bytes(256 << 20))
    answer = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s" % (len(packed), packed)
    async with serving(answering(answer)) as server:
        stream = await soon(client.stream(here(server.port), GET, deadline=None))
        with pytest.raises(Rejected, match="100 times"):
            await soon(all_of(stream))


async def test_a_stream_ends_at_its_deadline(client, soon: Soon):
    async def handle(reader, writer):
        await read_request(reader)
        writer.write(EVENTS + chunk(b"one"))
        await until_dropped(reader)

    async with serving(handle) as server:
        deadline = asyncio.get_running_loop().time() + 0.1
        stream = await soon(client.stream(here(server.port), GET, deadline=deadline))
        with pytest.raises(TimedOut):
            await soon(all_of(stream))
        await soon(server.all_closed.wait())


async def test_a_stream_whose_head_does_not_come_is_timed_out(client, soon: Soon):
    async with serving(lambda reader, writer: until_dropped(reader)) as server:
        with pytest.raises(TimedOut, match="begin to answer"):
            await soon(client.stream(here(server.port), GET, deadline=None, first_byte=0.2))


async def test_a_stream_has_no_limit_of_length_but_one_of_its_head(soon: Soon):
    client = HttpClient(Egress.parse("any"), ClientLimits(body=100, head=200))
    async with serving(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n" + bytes(500))) as server:
        stream = await soon(client.stream(here(server.port), GET, deadline=None))
        assert len(await soon(all_of(stream))) == 500
    async with serving(answering(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 300)) as server:
        with pytest.raises(Rejected):
            await soon(client.stream(here(server.port), GET, deadline=None))
    await client.aclose()


async def test_a_stream_on_a_stale_connection_is_asked_for_again_if_idempotent(client, soon: Soon):
    async def handle(reader, writer):
        await read_request(reader)
        writer.write(OK)
        await read_request(reader)
        writer.transport.abort()

    async with serving(handle) as server:
        for turns in (1, 2):
            async with await soon(client.stream(here(server.port), GET, deadline=None, idempotent=True)) as stream:
                assert await soon(all_of(stream)) == b"ok"
            assert server.connections == turns


async def test_an_answer_in_one_read_is_whole_where_either_will_do(client, soon: Soon):
    async with serving(answering(OK)) as server:
        for _ in range(2):
            answer = await soon(client.open(here(server.port), GET, deadline=asyncio.get_running_loop().time() + 5))
            assert answer.body == b"ok"
        assert server.connections == 1


async def test_an_answer_in_pieces_is_streamed_where_either_will_do(client, soon: Soon):
    more = asyncio.Event()

    async def handle(reader, writer):
        while True:
            await read_request(reader)
            writer.write(EVENTS + chunk(b"a"))
            await asyncio.wait_for(more.wait(), 5)
            writer.write(chunk(b"b") + b"0\r\n\r\n")

    async with serving(handle) as server:
        deadline = asyncio.get_running_loop().time() + 5
        stream = await soon(client.open(here(server.port), GET, deadline=deadline))
        assert await soon(anext(stream)) == b"a"
        assert not stream.has_arrived
        more.set()
        assert await soon(all_of(stream)) == b"b"
        assert stream.has_arrived
        await soon((await soon(client.open(here(server.port), GET, deadline=deadline))).aclose())
        assert server.connections == 1


async def test_the_deadline_of_a_stream_can_be_moved(client, soon: Soon):
    async def handle(reader, writer):
        await read_request(reader)
        writer.write(EVENTS)
        await until_dropped(reader)

    async with serving(handle) as server:
        now = asyncio.get_running_loop().time()
        stream = await soon(client.open(here(server.port), GET, deadline=now + 60))
        stream.wait_until(now + 0.1)
        with pytest.raises(TimedOut):
            await soon(all_of(stream))


async def test_dropping_a_stream_drops_its_connection(client, soon: Soon):
    async def handle(reader, writer):
        await read_request(reader)
        writer.write(EVENTS)
        await until_dropped(reader)

    async with serving(handle) as server:
        stream = await soon(client.open(here(server.port), GET, deadline=asyncio.get_running_loop().time() + 5))
        stream.drop()
        await soon(server.all_closed.wait())
