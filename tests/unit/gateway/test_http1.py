"""Requests as bytes: what cannot be taken is refused once and ends the connection, and what comes together is answered
in order, whatever else is in between."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fakes.ingress import FakeHome, FakeTransport, answers, connected

from portico.gateway.ingress.heads import HeadLimits
from portico.gateway.ingress.http1 import Connection

pytestmark = pytest.mark.anyio

HOST = b"Host: localhost\r\n"
NEXT = b"GET /smuggled HTTP/1.1\r\n" + HOST + b"\r\n"
POST = b"POST /x HTTP/1.1\r\n" + HOST
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"

OFFER = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n"

SMUGGLING = {
    "a length and chunks": POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and a length": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "two lengths": POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "two equal lengths": POST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    "a list of lengths": POST + b"Content-Length: 5, 5\r\n\r\nhello",
    "a length with a sign": POST + b"Content-Length: +5\r\n\r\nhello",
    "a negative length": POST + b"Content-Length: -1\r\n\r\n",
    "a length in hexadecimal": POST + b"Content-Length: 0x5\r\n\r\nhello",
    "a length without end": POST + b"Content-Length: " + b"9" * 40 + b"\r\n\r\n",
    "no length": POST + b"Content-Length: \r\n\r\n",
    "an unknown coding": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "a coding after chunked": POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "chunked twice": POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two hosts": b"GET /x HTTP/1.1\r\n" + HOST + b"Host: evil.example\r\n\r\n",
    "one host twice": b"GET /x HTTP/1.1\r\n" + HOST + HOST + b"\r\n",
    "no host": b"GET /x HTTP/1.1\r\n\r\n",
    "no host, in HTTP/1.0": b"GET /x HTTP/1.0\r\n\r\n",
    "a folded line": b"GET /x HTTP/1.1\r\n" + HOST + b"A: b\r\n c\r\n\r\n",
    "bare line feeds": b"GET /x HTTP/1.1\nHost: localhost\n\n",
    "one bare line feed": b"GET /x HTTP/1.1\r\nHost: localhost\nA: b\r\n\r\n",
    "a bare carriage return": b"GET /x HTTP/1.1\r\n" + HOST + b"A: b\rc\r\n\r\n",
    "a NUL in a value": b"GET /x HTTP/1.1\r\n" + HOST + b"A: b\x00c\r\n\r\n",
    "a NUL in a name": b"GET /x HTTP/1.1\r\n" + HOST + b"A\x00: b\r\n\r\n",
    "a NUL in the target": b"GET /x\x00y HTTP/1.1\r\n" + HOST + b"\r\n",
    "a space before the colon": b"GET /x HTTP/1.1\r\n" + HOST + b"Content-Length : 5\r\n\r\nhello",
    "a header without a name": b"GET /x HTTP/1.1\r\n" + HOST + b": b\r\n\r\n",
    "a header without a colon": b"GET /x HTTP/1.1\r\n" + HOST + b"A\r\n\r\n",
    "a size of a chunk too large to count": CHUNKED + b"ffffffffffffffff1\r\nx",
    "a chunk larger than a body may be": CHUNKED + b"fffffff\r\n" + b"x" * 2000,
    "a negative chunk": CHUNKED + b"-1\r\nx",
    "a chunk with 0x": CHUNKED + b"0x5\r\nhello\r\n0\r\n\r\n",
    "chunks with bare line feeds": CHUNKED + b"5\nhello\n0\n\n",
    "a chunk longer than it says": CHUNKED + b"3\r\nhello\r\n0\r\n\r\n",
    "HTTP/0.9": b"GET /x\r\n\r\n",
    "HTTP/2.0": b"GET /x HTTP/2.0\r\n" + HOST + b"\r\n",
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/2.0 with an offer": b"GET /x HTTP/2.0\r\n" + HOST + OFFER + b"\r\n",
    "HTTP/1.10": b"GET /x HTTP/1.10\r\n" + HOST + b"\r\n",
    "a space in the target": b"GET /x y HTTP/1.1\r\n" + HOST + b"\r\n",
    "a target on another host": b"GET http://evil.example/x HTTP/1.1\r\n" + HOST + b"\r\n",
    "a target on another port": b"GET http://localhost:1/x HTTP/1.1\r\n" + HOST + b"\r\n",
    "a target with a user": b"GET http://localhost@evil.example/x HTTP/1.1\r\n" + HOST + b"\r\n",
    "a target to connect to": b"CONNECT evil.example:443 HTTP/1.1\r\n" + HOST + b"\r\n",
    "a TLS greeting": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 40 + b"\r\n\r\n",
}


@pytest.mark.parametrize("name", SMUGGLING)
@pytest.mark.parametrize("piece", [1, 7, 100_000])
async def test_an_ambiguous_request_is_refused_and_nothing_behind_it_is_answered(name: str, piece: int) -> None:
    home = FakeHome()
    transport = feed(home, SMUGGLING[name] + NEXT, piece)
    assert transport.closed
    assert home.seen == []
    ((status, _),) = answers(transport.written)
    assert 400 <= status < 500


FLOODS = {
    "headers": b"GET /x HTTP/1.1\r\n" + HOST + b"".join(b"X-%d: y\r\n" % number for number in range(10_000)),
    "one header": b"GET /x HTTP/1.1\r\n" + HOST + b"X: " + b"y" * 500_000,
    "a target": b"GET /" + b"x" * 500_000,
    "a name": b"GET /x HTTP/1.1\r\n" + HOST + b"x" * 500_000,
    "an extension of a chunk": CHUNKED + b"5;" + b"x" * 500_000,
    "extensions of chunks": CHUNKED + b"1;aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\nx\r\n" * 900,
    "chunks of one byte": CHUNKED + b"1\r\nx\r\n" * 900_000,
    "trailers": CHUNKED + b"0\r\n" + b"".join(b"X-%d: y\r\n" % number for number in range(50_000)),
    "one trailer": CHUNKED + b"0\r\nX: " + b"y" * 500_000,
    "a body": CHUNKED + b"200\r\n" + b"x" * 0x200 + b"\r\n200\r\n" + b"x" * 0x200 + b"\r\n",
    "a body with a length": POST + b"Content-Length: 999999\r\n\r\n" + b"x" * 5000,
    "empty lines": b"\r\n" * 500_000,
}


@pytest.mark.parametrize("name", FLOODS)
async def test_a_request_without_end_is_cut_off(name: str) -> None:
    home = FakeHome()
    connection, transport = connected(home)
    fed = 0
    for start in range(0, len(FLOODS[name]), 4096):
        if transport.closed:
            break
        connection.data_received(FLOODS[name][start : start + 4096])
        fed += 4096
    assert transport.closed
    assert fed <= 64 * 1024
    assert home.seen == []
    assert [status for status, _ in answers(transport.written)] in ([413], [414], [431], [400])


async def test_trailers_do_not_pass_for_headers() -> None:
    home = FakeHome()
    feed(home, CHUNKED + b"5\r\nhello\r\n0\r\nX-Forwarded-For: 10.9.9.9\r\nOrigin: https://evil.example\r\n\r\n")
    assert home.seen[0].body == b"hello"
    assert set(home.seen[0].headers) == {b"host", b"transfer-encoding"}


@pytest.mark.parametrize("piece", [1, 7, 100_000])
async def test_an_offer_of_http_2_is_ignored_and_the_body_is_still_a_body(piece: int) -> None:
    home = FakeHome()
    get = b"GET /first HTTP/1.1\r\n" + HOST + OFFER + b"\r\n"
    sized = POST + OFFER + b"Content-Length: %d\r\n\r\n" % len(NEXT) + NEXT
    chunked = POST + OFFER + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % len(NEXT) + NEXT + b"\r\n0\r\n\r\n"
    empty = POST + OFFER + b"Content-Length: 0\r\n\r\n"
    last = b"GET /last HTTP/1.1\r\n" + HOST + b"Connection: close, Upgrade\r\nUpgrade: h2c\r\n\r\n"
    transport = feed(home, get + sized + chunked + empty + last + NEXT, piece)
    assert [(seen.method, seen.path, seen.body) for seen in home.seen] == [
        ("GET", b"/first", b""),
        ("POST", b"/x", NEXT),
        ("POST", b"/x", NEXT),
        ("POST", b"/x", b""),
        ("GET", b"/last", b""),
    ]
    assert len(answers(transport.written)) == 5
    assert transport.closed


async def test_thousands_of_offers_at_once_are_no_deep_recursion() -> None:
    home = FakeHome()
    transport = feed(home, (b"GET /x HTTP/1.1\r\n" + HOST + OFFER + b"\r\n") * 3000)
    assert len(answers(transport.written)) == 3000


async def test_thousands_of_requests_behind_a_slow_one_are_answered_in_order() -> None:
    home = FakeHome()
    connection, transport = connected(home)
    connection.data_received(b"GET /wait HTTP/1.1\r\n" + HOST + b"\r\n")
    connection.data_received(b"".join(b"GET /%d HTTP/1.1\r\n" % number + HOST + b"\r\n" for number in range(3000)))
    assert transport.paused
    home.let_go()
    await asyncio.sleep(0)
    assert [body for _, body in answers(transport.written)][1:] == [b"%d /%d\n" % (n + 2, n) for n in range(3000)]
    assert (home.in_flight, transport.paused) == (0, False)


async def test_who_does_not_read_is_not_answered_again_until_it_does() -> None:
    home = FakeHome()
    connection, transport = connected(home)
    connection.data_received(NEXT)
    connection.pause_writing()
    until = connection.expires
    for _ in range(50):
        connection.data_received(NEXT)
    assert (len(home.seen), transport.paused) == (1, True)
    assert connection.expires == until
    connection.resume_writing()
    assert (len(home.seen), transport.paused) == (51, False)
    connection.pause_writing()
    home.now = connection.expires
    connection.expire()
    assert transport.closed


async def test_an_absolute_target_of_this_host_is_taken() -> None:
    home = FakeHome()
    feed(
        home, b"GET http://LOCALHOST/a/b?c=d HTTP/1.1\r\n" + HOST + b"\r\n" + b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n"
    )
    assert [(seen.path, seen.query) for seen in home.seen] == [(b"/a/b", b"c=d"), (b"*", b"")]


# Anything -------------------------------------------------------------------------------------------------------------

GOOD = [
    b"GET /a HTTP/1.1\r\n" + HOST + b"\r\n",
    b"GET /b/wait HTTP/1.1\r\n" + HOST + b"\r\n",
    b"HEAD /h HTTP/1.1\r\n" + HOST + b"\r\n",
    POST + b"Content-Length: 5\r\n\r\nhello",
    CHUNKED + b"5\r\nhello\r\n3;x=y\r\nyou\r\n0\r\nT: u\r\n\r\n",
    b"POST /u HTTP/1.1\r\n" + HOST + OFFER + b"Content-Length: 5\r\n\r\nhello",
    b"GET /c HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n",
    b"GET /d HTTP/1.0\r\n" + HOST + b"\r\n",
]
PIECES = st.sampled_from([*GOOD, *SMUGGLING.values()])
DAMAGE = st.tuples(st.floats(0, 1), st.sampled_from(["cut", "put", "double"]), st.binary(min_size=1, max_size=12))


@settings(max_examples=300)
@given(
    pieces=st.lists(PIECES, min_size=1, max_size=6),
    damages=st.lists(DAMAGE, max_size=4),
    cuts=st.lists(st.floats(0, 1), max_size=8),
    turns=st.lists(st.sampled_from(["let go", "pause", "resume", "sweep"]), max_size=8),
)
async def test_any_bytes_are_answered_in_order_or_refused(
    pieces: list[bytes], damages: list[tuple[float, str, bytes]], cuts: list[float], turns: list[str]
) -> None:
    data = b"".join(pieces)
    for place, kind, extra in damages:
        at = int(place * len(data))
        if kind == "cut":
            data = data[:at] + data[at + len(extra) :]
        elif kind == "put":
            data = data[:at] + extra + data[at:]
        else:
            data = data[:at] + data[max(0, at - 40) :]
    home = FakeHome(heads=HeadLimits(size=2000))
    connection, transport = connected(home)
    ends = sorted({int(cut * len(data)) for cut in cuts} | {len(data)})
    start = 0
    for number, end in enumerate(ends):
        if end > start and not transport.closed:
            connection.data_received(data[start:end])
        start = end
        if number < len(turns):
            take_turn(turns[number], home, connection)
            await asyncio.sleep(0)
        in_order(home, transport)
    connection.resume_writing()
    for _ in range(len(GOOD) * 3):
        home.let_go()
        await asyncio.sleep(0)
    in_order(home, transport)
    connection.eof_received()
    connection.connection_lost(None)
    home.let_go()
    await asyncio.sleep(0)
    assert home.in_flight == 0


def take_turn(turn: str, home: FakeHome, connection: Connection) -> None:
    if turn == "let go":
        home.let_go()
    elif turn == "pause":
        connection.pause_writing()
    elif turn == "resume":
        connection.resume_writing()
    else:
        home.now += 6.0
        if connection.expires <= home.now:
            connection.expire()


def in_order(home: FakeHome, transport: FakeTransport) -> None:
    """One answer for each request that a handler was given, in their order, and at the end perhaps a refusal."""
    found = answers(transport.written)
    good = [body for status, body in found if status == 200]
    expected = [b"%d %b\n" % (number, seen.path) for number, seen in enumerate(home.seen, 1)]
    heads = [seen.method == "HEAD" for seen in home.seen]
    shown = [b"" if is_head else text for text, is_head in zip(expected, heads, strict=True)]
    assert good == shown[: len(good)]
    assert len(home.seen) - len(good) <= 1
    refused = [status for status, _ in found if status != 200]
    assert len(refused) <= 1
    assert all(400 <= status < 500 for status in refused)
    assert not refused or (found[-1][0] == refused[0] and transport.closed)


def feed(home: FakeHome, data: bytes, piece: int = 1 << 30) -> FakeTransport:
    connection, transport = connected(home)
    for start in range(0, len(data), piece):
        if transport.closed:
            break
        connection.data_received(data[start : start + piece])
    return transport
