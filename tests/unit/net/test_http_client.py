import asyncio
import os
import socket
import struct
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fakes.net_servers import answering, connect_proxy, read_request, serving, socks5_proxy, until_dropped

from portico.net.egress import Egress
from portico.net.errors import Busy, Malformed, NetError, Rejected, TimedOut, Unreachable
from portico.net.http_client import HttpClient
from portico.net.limits import ClientLimits
from portico.net.origin import Origin, Proxy
from portico.net.response import Response

pytestmark = pytest.mark.anyio

GET = b"GET /thing HTTP/1.1\r\nHost: api.test\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nSet-Cookie: a=1\r\nset-cookie: b=2\r\nContent-Length: 2\r\n\r\nok"
CLOSING = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"

Soon = Callable[[Awaitable[Any]], Awaitable[Any]]


def here(port: int, **more: Any) -> Origin:
    return Origin("http", "127.0.0.1", port, **more)


async def send(client: HttpClient, origin: Origin, data: bytes | list[bytes] = GET, **options: Any) -> Response:
    options = {"deadline": asyncio.get_running_loop().time() + 5, "idempotent": False, **options}
    return await asyncio.wait_for(client.send(origin, data, **options), 10)


def figures(client: HttpClient):
    return [found for _, found in client.figures()]


async def test_a_request_is_written_as_it_is_and_its_answer_read(client):
    seen = []

    async def handle(reader, writer):
        seen.append(await read_request(reader))
        writer.write(OK)

    async with serving(handle) as server:
        answer = await send(client, here(server.port), [b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n", b"hi"])
    assert seen == [b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi"]
    assert (answer.status, answer.body) == (200, b"ok")
    assert answer.header(b"content-type") == b"text/plain"
    assert answer.header(b"set-cookie") == b"a=1"
    assert answer.header(b"cookie") is None
    assert answer.headers[1:3] == [(b"set-cookie", b"a=1"), (b"set-cookie", b"b=2")]


async def test_connections_are_reused_last_in_first_out(client):
    async with serving(answering(OK)) as server:
        await asyncio.gather(*(send(client, here(server.port)) for _ in range(8)))
        assert server.connections == 8
        for _ in range(20):
            await send(client, here(server.port))
        assert server.connections == 8
        (found,) = figures(client)
    assert (found.open, found.idle, found.connects, found.requests, found.failures) == (8, 8, 8, 28, 0)


async def test_a_redirect_is_not_followed(client):
    redirect = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"
    async with serving(answering(redirect)) as server:
        answer = await send(client, here(server.port))
        assert len(server.requests) == 0
        assert server.connections == 1
    assert answer.status == 302
    assert answer.header(b"location") == b"http://127.0.0.1:1/"


async def test_a_coroutine_can_be_stepped_by_hand_without_a_task(client, soon: Soon):
    async with serving(answering(OK)) as server:
        loop = asyncio.get_running_loop()
        finished = loop.create_future()

        def step(_: object = None) -> None:
            try:
                awaited = coroutine.send(None)
            except StopIteration as stop:
                finished.set_result(stop.value)
            else:
                awaited._asyncio_future_blocking = False
                awaited.add_done_callback(step)

        for _ in range(2):
            finished = loop.create_future()
            coroutine = client.send(here(server.port), GET, deadline=loop.time() + 5, idempotent=False)
            loop.call_soon(step)
            assert (await soon(finished)).body == b"ok"
        assert server.connections == 1


async def test_cancelling_drops_the_connection_at_once(client, soon: Soon):
    asked, dropped = asyncio.Event(), asyncio.Event()

    async def handle(reader, writer):
        await read_request(reader)
        asked.set()
        await until_dropped(reader)
        dropped.set()

    async with serving(handle) as server:
        task = asyncio.create_task(send(client, here(server.port)))
        await soon(asked.wait())
        task.cancel()
        await soon(dropped.wait())
        with pytest.raises(asyncio.CancelledError):
            await task
        assert figures(client)[0].open == 0


async def test_closing_a_hand_stepped_coroutine_drops_the_connection(client, soon: Soon):
    async def handle(reader, writer):
        while await reader.readuntil(b"\r\n\r\n"):
            if not server.requests:
                writer.write(OK)
            server.requests.append(b"")

    async with serving(handle) as server:
        await send(client, here(server.port))
        coroutine = client.send(here(server.port), GET, deadline=1e12, idempotent=True)
        coroutine.send(None)
        coroutine.close()
        await soon(server.all_closed.wait())
        assert figures(client)[0].open == 0


async def test_a_cancelled_caller_wastes_no_connection(client):
    async with serving(answering(OK)) as server:
        task = asyncio.create_task(send(client, here(server.port)))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        for _ in range(3):
            assert (await send(client, here(server.port))).body == b"ok"
        assert server.connections <= 2


def closing_idle(answers: int = 1):
    """Each connection answers so many requests and drops the next one, as a server does that closes when idle."""

    async def handle(reader, writer):
        for _ in range(answers):
            await read_request(reader)
            writer.write(OK)
        await read_request(reader)
        writer.transport.abort()

    return handle


async def test_an_idempotent_request_is_repeated_once_when_the_idle_connection_was_closed(client):
    async with serving(closing_idle()) as server:
        for _ in range(3):
            assert (await send(client, here(server.port), idempotent=True)).body == b"ok"
        assert server.connections == 3


async def test_the_repeated_request_gets_a_connection_that_has_served_nobody(client):
    async with serving(closing_idle()) as server:
        await asyncio.gather(*(send(client, here(server.port)) for _ in range(5)))
        answers = await asyncio.gather(*(send(client, here(server.port), idempotent=True) for _ in range(5)))
        assert [answer.body for answer in answers] == [b"ok"] * 5
        assert server.connections == 10


async def test_a_request_that_is_not_idempotent_is_never_repeated(client):
    async with serving(closing_idle()) as server:
        await send(client, here(server.port))
        with pytest.raises(Unreachable, match="closed the connection without an answer") as error:
            await send(client, here(server.port), idempotent=False)
        assert error.value.sent is True
        assert server.connections == 1


async def test_a_fresh_connection_that_breaks_is_not_tried_again(client):
    async with serving(closing_idle(0)) as server:
        with pytest.raises(Unreachable) as error:
            await send(client, here(server.port), idempotent=True)
        assert error.value.sent is True
        assert server.connections == 1


async def test_an_answer_that_broke_off_is_not_tried_again(client):
    async def handle(reader, writer):
        for answer in (OK, OK[:-1]):
            await read_request(reader)
            writer.write(answer)
            await writer.drain()

    async with serving(handle) as server:
        await send(client, here(server.port))
        with pytest.raises(Malformed, match="mid-answer"):
            await send(client, here(server.port), idempotent=True)
        assert server.connections == 1


async def test_a_reset_in_mid_answer_is_malformed(client):
    async def handle(reader, writer):
        await read_request(reader)
        writer.write(OK[:-1])
        await writer.drain()
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    async with serving(handle) as server:
        with pytest.raises(Malformed, match=f"127.0.0.1:{server.port}"):
            await send(client, here(server.port))


async def test_a_peer_that_closes_after_each_answer_is_fine(client):
    async with serving(answering(CLOSING, close=True)) as server:
        for _ in range(3):
            assert (await send(client, here(server.port))).body == b"ok"
        assert server.connections == 3


async def test_a_refused_connection_says_where_and_why(client):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(Unreachable, match=f"127.0.0.1:{port} cannot be connected to: connection refused") as error:
        await send(client, here(port))
    assert error.value.sent is False
    assert figures(client)[0].failures == 1


async def test_every_waiting_caller_hears_of_a_refused_connection(client):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    answers = await asyncio.gather(*(send(client, here(port)) for _ in range(20)), return_exceptions=True)
    assert all(isinstance(answer, Unreachable) for answer in answers)


async def test_the_deadline_ends_a_call_that_gets_no_answer(client, soon: Soon):
    async with serving(lambda reader, writer: until_dropped(reader)) as server:
        started = asyncio.get_running_loop().time()
        with pytest.raises(TimedOut, match="deadline") as error:
            await send(client, here(server.port), deadline=started + 0.1)
        assert error.value.sent is True
        assert asyncio.get_running_loop().time() - started < 1
        await soon(server.all_closed.wait())


async def test_the_first_byte_has_a_time_of_its_own(client):
    async with serving(lambda reader, writer: until_dropped(reader)) as server:
        with pytest.raises(TimedOut, match=r"begin to answer within 0\.2 s"):
            await send(client, here(server.port), first_byte=0.2)


async def test_a_slow_answer_that_has_begun_is_held_to_the_deadline_only(client):
    async def handle(reader, writer):
        await read_request(reader)
        writer.write(OK[:10])
        await until_dropped(reader)

    async with serving(handle) as server:
        now = asyncio.get_running_loop().time()
        with pytest.raises(TimedOut, match="deadline"):
            await send(client, here(server.port), first_byte=0.2, deadline=now + 0.8)


async def test_a_large_request_is_written_while_the_peer_reads_slowly(client):
    body = os.urandom(8 << 20)
    head = b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body)

    async def handle(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        received = b"".join([await reader.readexactly(1 << 20) for _ in range(8)])
        writer.write(OK if received == body else CLOSING.replace(b"200", b"500"))

    async with serving(handle) as server:
        assert (await send(client, here(server.port), [head, body])).status == 200


async def test_an_answer_before_the_whole_request_was_read_stands(client):
    async def handle(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
        await until_dropped(reader)

    async with serving(handle) as server:
        head = b"POST / HTTP/1.1\r\nContent-Length: 67108864\r\n\r\n"
        answer = await send(client, here(server.port), [head, bytes(64 << 20)])
        assert answer.status == 413


async def test_the_number_of_connections_is_bounded_and_waiters_are_served_in_order():
    client = HttpClient(Egress.parse("any"), ClientLimits(connections=3))
    async with serving(answering(OK)) as server:
        order = []

        async def call(number: int) -> None:
            await send(client, here(server.port))
            order.append(number)

        await asyncio.gather(*(call(number) for number in range(60)))
        assert server.connections == 3
        assert sorted(order) == list(range(60))
        assert max(abs(place - number) for place, number in enumerate(order)) <= 3
    await client.aclose()


async def test_who_waits_too_long_for_a_connection_is_rejected():
    client = HttpClient(Egress.parse("any"), ClientLimits(connections=1, queue=0.2))
    async with serving(lambda reader, writer: until_dropped(reader)) as server:
        first = asyncio.create_task(send(client, here(server.port)))
        await asyncio.sleep(0)
        with pytest.raises(Rejected, match="All 1 connections") as error:
            await send(client, here(server.port))
        assert error.value.sent is False
        await client.aclose()
        with pytest.raises(Unreachable, match="closed"):
            await first


async def test_the_number_of_requests_in_flight_is_bounded_for_each_origin():
    client = HttpClient(Egress.parse("any"), ClientLimits(connections=1, in_flight=3, queue=1000))
    async with serving(lambda reader, writer: until_dropped(reader)) as server, serving(answering(OK)) as other:
        tasks = [asyncio.create_task(send(client, here(server.port))) for _ in range(4)]
        with pytest.raises(Busy):
            await tasks[3]
        with pytest.raises(Busy):
            await send(client, here(server.port))
        assert (await send(client, here(other.port))).status == 200
        await client.aclose()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_connection_that_dies_under_load_makes_room_for_the_next():
    client = HttpClient(Egress.parse("any"), ClientLimits(connections=2))
    async with serving(answering(CLOSING, close=True)) as server:
        answers = await asyncio.gather(*(send(client, here(server.port)) for _ in range(20)))
        assert all(answer.body == b"ok" for answer in answers)
    await client.aclose()


async def test_idle_connections_are_closed_and_the_sweep_comes_to_rest(soon: Soon):
    client = HttpClient(Egress.parse("any"), ClientLimits(idle=0.1))
    async with serving(answering(OK)) as server:
        await send(client, here(server.port))
        await soon(server.all_closed.wait())
        assert figures(client)[0].open == 0
        await send(client, here(server.port))
        assert server.connections == 2
    await client.aclose()


async def test_the_number_of_remembered_origins_is_bounded():
    client = HttpClient(Egress.parse("any"), ClientLimits(origins=4))
    for number in range(20):
        with pytest.raises(Unreachable):
            await send(client, Origin("http", "api.test", 80, unix=f"/nowhere/{number}"))
    assert len(figures(client)) <= 4
    async with serving(answering(OK)) as server:
        await send(client, here(server.port))
        for number in range(20):
            with pytest.raises(Unreachable):
                await send(client, Origin("http", "api.test", 80, unix=f"/nowhere/{number}"))
        await send(client, here(server.port))
        assert server.connections == 1
    await client.aclose()


async def test_a_closed_client_calls_nobody(client):
    async with serving(answering(OK)) as server:
        await send(client, here(server.port))
        await client.aclose()
        for port in (server.port, server.port + 1):
            with pytest.raises(Unreachable, match="closed"):
                await send(client, here(port))


async def test_a_unix_socket_is_an_origin_like_any_other(client, tmp_path):
    path = str(tmp_path / "s")
    async with serving(answering(OK), path=path):
        assert (await send(client, Origin("http", "worker", 80, unix=path))).body == b"ok"
    with pytest.raises(Unreachable, match=path):
        await send(client, Origin("http", "worker", 81, unix=path))


@given(st.binary(min_size=1, max_size=200))
def test_whatever_a_peer_says_ends_in_an_answer_or_a_net_error(garbage):
    async def main() -> None:
        client = HttpClient(Egress.parse("any"))
        async with serving(answering(garbage, close=True)) as server:
            (answer,) = await asyncio.gather(send(client, here(server.port), idempotent=True), return_exceptions=True)
            assert isinstance(answer, Response) or str(server.port) in answer.message
        await client.aclose()

    asyncio.run(main())


# Egress.


async def test_a_name_that_leads_inside_is_refused_and_not_connected_to():
    asked = []

    async def lookup(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"]

    async with serving(answering(OK)) as server:
        client = HttpClient(Egress.parse("public"), lookup=lookup)
        with pytest.raises(Rejected, match=r"rebinding\.test"):
            await send(client, Origin("http", "rebinding.test", server.port))
        assert server.connections == 0
        assert asked == ["rebinding.test"]
        await client.aclose()


async def test_the_address_connected_to_is_the_one_that_was_checked():
    async def lookup(host: str, port: int) -> list[str]:
        turns.append(host)
        return ["127.0.0.1"] if len(turns) == 1 else ["127.0.0.2"]

    turns: list[str] = []
    async with serving(answering(OK)) as server:
        client = HttpClient(Egress.parse("127.0.0.1"), lookup=lookup)
        assert (await send(client, Origin("http", "name.test", server.port))).body == b"ok"
        assert turns == ["name.test"]
        await client.aclose()


async def test_the_next_address_is_tried_when_one_does_not_answer():
    async def lookup(host: str, port: int) -> list[str]:
        return ["127.0.0.2", "127.0.0.1"]

    async with serving(answering(OK)) as server:
        client = HttpClient(Egress.parse("127.0.0.0/8"), lookup=lookup)
        assert (await send(client, Origin("http", "name.test", server.port))).body == b"ok"
        await client.aclose()


async def test_a_literal_address_inside_is_refused():
    client = HttpClient(Egress.parse("public"))
    for host in (
        "127.0.0.1",
        "::1",
        "::ffff:127.0.0.1",
        "169.254.169.254",
        "localhost",
        "127.1",
        "2130706433",
        "0x7f.1",
    ):
        with pytest.raises(Rejected):
            await send(client, Origin("http", host, 80))
    await client.aclose()


async def test_a_slow_name_server_is_a_connection_that_took_too_long(soon: Soon):
    async def lookup(host: str, port: int) -> list[str]:
        return await asyncio.get_running_loop().create_future()

    client = HttpClient(Egress.parse("any"), ClientLimits(connect=0.1), lookup=lookup)
    with pytest.raises(TimedOut, match=r"slow\.test:80 did not accept a connection within 0\.1 s"):
        await send(client, Origin("http", "slow.test", 80))
    await client.aclose()


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a" * 64 + ".test", ".."])
async def test_a_name_that_nobody_knows_is_unreachable(client, host):
    with pytest.raises(Unreachable, match="could not be resolved"):
        await send(client, Origin("http", host, 80))


async def test_proxies_of_the_environment_are_ignored(client, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with serving(answering(OK)) as server:
        assert (await send(client, here(server.port))).body == b"ok"


# TLS.


async def test_tls_is_spoken_with_a_verified_certificate(ca):
    ca_file, tls = ca
    client = HttpClient(Egress.parse("any"), ca_file=ca_file)
    async with serving(answering(OK), tls=tls) as server:
        for host in ("localhost", "127.0.0.1"):
            for _ in range(3):
                assert (await send(client, Origin("https", host, server.port))).body == b"ok"
        assert server.connections == 2
    await client.aclose()


async def test_only_http_1_1_is_offered(ca):
    spoken = []

    async def handle(reader, writer):
        await read_request(reader)
        spoken.append(writer.get_extra_info("ssl_object").selected_alpn_protocol())
        writer.write(OK)

    client = HttpClient(Egress.parse("any"), ca_file=ca[0])
    async with serving(handle, tls=ca[1]) as server:
        await send(client, Origin("https", "localhost", server.port))
    assert spoken == ["http/1.1"]
    await client.aclose()


async def test_a_certificate_of_an_unknown_authority_is_refused(client, ca):
    async with serving(answering(OK), tls=ca[1]) as server:
        with pytest.raises(Unreachable, match="certificate is not valid") as error:
            await send(client, Origin("https", "localhost", server.port))
        assert error.value.sent is False


async def test_a_certificate_for_another_name_is_refused(ca):
    async def lookup(host: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    client = HttpClient(Egress.parse("any"), ca_file=ca[0], lookup=lookup)
    async with serving(answering(OK), tls=ca[1]) as server:
        assert (await send(client, Origin("https", "api.test", server.port))).body == b"ok"
        with pytest.raises(Unreachable, match="certificate is not valid"):
            await send(client, Origin("https", "other.test", server.port))
    await client.aclose()


async def test_a_server_that_does_not_speak_tls_is_unreachable(client):
    async with serving(answering(OK)) as server:
        with pytest.raises(NetError, match=f"localhost:{server.port}"):
            await send(
                client, Origin("https", "localhost", server.port), deadline=asyncio.get_running_loop().time() + 1
            )


# Proxies.


@pytest.mark.parametrize("target_tls", [False, True], ids=["http", "https"])
@pytest.mark.parametrize("scheme", ["http", "https", "socks5", "socks5h"])
@pytest.mark.parametrize("login", ["", "user:p%40ss@"], ids=["open", "password"])
async def test_a_target_is_reached_through_a_proxy_that_resolves_it(ca, scheme, target_tls, login):
    ca_file, tls = ca
    client = HttpClient(Egress.parse("any"), ca_file=ca_file)
    seen: list[str] = []
    credentials = "user:p@ss" if login else None
    async with serving(answering(OK), tls=tls if target_tls else None) as target:
        fake = (connect_proxy if scheme.startswith("http") else socks5_proxy)(target.port, seen, credentials)
        async with serving(fake, tls=tls if scheme == "https" else None) as proxy:
            url = f"{scheme}://{login}localhost:{proxy.port}"
            origin = Origin("https" if target_tls else "http", "api.test", 8443, proxy=url)
            for _ in range(3):
                assert (await send(client, origin)).body == b"ok"
            assert len(seen) == 1
            assert "api.test:8443" in seen[0]
            await client.aclose()


async def test_an_address_is_given_to_socks_as_an_address(client):
    seen: list[str] = []
    async with serving(answering(OK)) as target, serving(socks5_proxy(target.port, seen)) as proxy:
        for host in ("192.0.2.1", "2001:db8::1"):
            await send(client, Origin("http", host, 80, proxy=f"socks5://127.0.0.1:{proxy.port}"))
    assert seen == ["c0000201:80", "20010db8000000000000000000000001:80"]


@pytest.mark.parametrize(
    ("scheme", "refusal"),
    [("http", "status 407"), ("socks5", "refused the user name and password")],
)
async def test_a_proxy_that_refuses_us_is_named_without_its_password(client, scheme, refusal):
    fake = connect_proxy if scheme == "http" else socks5_proxy
    async with serving(fake(1, [], "user:right")) as proxy:
        origin = Origin("http", "api.test", 80, proxy=f"{scheme}://user:secret@127.0.0.1:{proxy.port}")
        with pytest.raises(Unreachable, match=refusal) as error:
            await send(client, origin)
        assert f"{scheme}://127.0.0.1:{proxy.port}" in error.value.message
        assert error.value.sent is False
    with pytest.raises(Unreachable) as gone:
        await send(client, origin)
    for text in (
        error.value.message,
        gone.value.message,
        repr(origin),
        origin.name,
        repr(Proxy.parse(origin.proxy or "")),
    ):
        assert "secret" not in text


async def test_a_socks_proxy_says_why_it_could_not_connect(client):
    async with serving(socks5_proxy(1, [], reply=4)) as proxy:
        with pytest.raises(Unreachable, match=r"could not connect to api\.test:80: host unreachable"):
            await send(client, Origin("http", "api.test", 80, proxy=f"socks5://127.0.0.1:{proxy.port}"))


@pytest.mark.parametrize(
    "said", [b"garbage\r\n\r\n", b"\x04\x00\x00\x00", b"x" * 20000, b"", b"HTTP/1.1 200 OK\r\n\r\nmore"]
)
@pytest.mark.parametrize("scheme", ["http", "socks5"])
async def test_a_proxy_that_talks_nonsense_is_an_error(client, scheme, said):
    async def handle(reader, writer):
        await reader.read(1000)
        writer.write(said)

    async with serving(handle) as proxy:
        with pytest.raises(NetError, match="proxy"):
            await send(client, Origin("http", "api.test", 80, proxy=f"{scheme}://127.0.0.1:{proxy.port}"))


async def test_a_proxy_that_talks_without_end_is_cut_off(client):
    async def handle(reader, writer):
        await reader.read(1000)
        writer.write(b"x" * 20000)
        await until_dropped(reader)

    async with serving(handle) as proxy:
        with pytest.raises(Unreachable, match="closed the connection"):
            await send(client, Origin("http", "api.test", 80, proxy=f"http://127.0.0.1:{proxy.port}"))


async def test_what_a_proxy_says_before_it_is_asked_is_not_taken_for_the_target(client):
    async def handle(reader, writer):
        await reader.read(1000)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n" + OK)
        await until_dropped(reader)

    async with serving(handle) as proxy:
        with pytest.raises(Malformed, match="spoke before it was asked"):
            await send(client, Origin("http", "api.test", 80, proxy=f"http://127.0.0.1:{proxy.port}"))


async def test_a_proxy_inside_is_refused_like_any_target(soon: Soon):
    async with serving(connect_proxy(1, [])) as proxy:
        client = HttpClient(Egress.parse("public"))
        with pytest.raises(Rejected, match=r"127\.0\.0\.1"):
            await send(client, Origin("http", "example.com", 80, proxy=f"http://127.0.0.1:{proxy.port}"))
        assert proxy.connections == 0
        await client.aclose()


async def test_a_target_inside_is_refused_before_a_proxy_is_asked():
    seen: list[str] = []
    async with serving(connect_proxy(1, seen)) as proxy:
        client = HttpClient(Egress.parse("127.0.0.1,api.test"))
        with pytest.raises(Rejected, match=r"169\.254\.169\.254"):
            await send(client, Origin("http", "169.254.169.254", 80, proxy=f"http://127.0.0.1:{proxy.port}"))
        assert proxy.connections == 0
        await client.aclose()


@pytest.mark.parametrize(
    "arguments",
    [
        ("ftp", "x", 80),
        ("http", "", 80),
        ("http", "a b", 80),
        ("http", "a\r\nX: y", 80),
        ("http", "höst", 80),
        ("http", "x", 0),
        ("http", "x", 65536),
        ("http", "x", 80, "ftp://proxy"),
        ("http", "x", 80, "http://u:secret@pro xy"),
        ("http", "x", 80, "http://u:secret@proxy:99999"),
        ("http", "x", 80, "http://u:secret@proxy/path"),
        ("http", "x", 80, "http://proxy", "/unix"),
    ],
)
def test_an_origin_that_makes_no_sense_is_a_sentence(arguments):
    with pytest.raises(ValueError) as error:
        Origin(*arguments)
    assert "secret" not in str(error.value)


def test_origins_are_equal_by_every_field():
    assert Origin("http", "x", 80) == Origin("http", "x", 80)
    assert hash(Origin("http", "x", 80)) == hash(Origin("http", "x", 80))
    others = [
        Origin("https", "x", 80),
        Origin("http", "y", 80),
        Origin("http", "x", 81),
        Origin("http", "x", 80, proxy="http://p"),
        Origin("http", "x", 80, unix="/s"),
    ]
    assert all(other != Origin("http", "x", 80) for other in others)


def test_nothing_runs_in_a_thread_of_its_own_for_a_literal_address():
    before = threading.active_count()

    async def main() -> None:
        client = HttpClient(Egress.parse("any"))
        async with serving(answering(OK)) as server:
            await send(client, here(server.port))
        await client.aclose()

    asyncio.run(main())
    assert threading.active_count() == before
