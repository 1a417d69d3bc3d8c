"""The connection alone, driven byte by byte: whatever a peer may send, in whatever pieces."""

import asyncio
import gzip
import itertools
import zlib

import brotli
import httptools
import pytest
import zstandard
from hypothesis import example, given
from hypothesis import strategies as st
from tests.fakes.net_transport import wired

from portico.net.errors import Malformed, NetError, Rejected, Unreachable
from portico.net.limits import ClientLimits
from portico.net.response import Response

LOOP = asyncio.new_event_loop()
TEXT = b'{"name": "value", "list": [1, 2, 3]}' * 40
REQUEST = b"GET / HTTP/1.1\r\nHost: fake.test\r\n\r\n"


def with_length(body: bytes, *headers: bytes, status: bytes = b"200 OK") -> bytes:
    lines = [b"HTTP/1.1 " + status, *headers, b"Content-Length: %d" % len(body)]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def chunked(body: bytes, *headers: bytes, size: int = 100) -> bytes:
    lines = [b"HTTP/1.1 200 OK", *headers, b"Transfer-Encoding: chunked"]
    chunks = [body[i : i + size] for i in range(0, len(body), size)]
    encoded = b"".join(b"%x;ext=1\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
    return b"\r\n".join(lines) + b"\r\n\r\n" + encoded + b"0\r\nTrailer: x\r\n\r\n"


def deflated_raw(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


CODED = {
    b"gzip": gzip.compress(TEXT, mtime=0),
    b"x-gzip": gzip.compress(TEXT[:700], mtime=0) + gzip.compress(TEXT[700:], mtime=0),
    b"deflate": zlib.compress(TEXT),
    b"Deflate": deflated_raw(TEXT),
    b"br": brotli.compress(TEXT),
    b"zstd": zstandard.compress(TEXT[:700]) + zstandard.compress(TEXT[700:]),
    b"gzip, br": brotli.compress(gzip.compress(TEXT, mtime=0)),
    b"identity": TEXT,
}
ANSWERS: dict[str, tuple[bytes, int, bytes]] = {
    "length": (with_length(TEXT, b"Content-Type: application/json"), 200, TEXT),
    "empty": (with_length(b""), 200, b""),
    "chunked": (chunked(TEXT), 200, TEXT),
    "blank lines first": (b"\r\n\r\n" + with_length(TEXT), 200, TEXT),
    "blank lines last": (with_length(TEXT) + b"\r\n\r\n", 200, TEXT),
    "informational": (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\n" + chunked(TEXT), 200, TEXT),
    "204": (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
    "304": (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\nContent-Encoding: x\r\n\r\n", 304, b""),
    "no reason": (b"HTTP/1.1 500\r\ncontent-length:2\r\n\r\nno", 500, b"no"),
    "redirect": (with_length(b"", b"Location: http://elsewhere.test/", status=b"302 Found"), 302, b""),
    "other encodings": (chunked(TEXT, b"X-Encoding: chunked"), 200, TEXT),
    "many headers": (with_length(TEXT, *[b"X-%d: %d" % (i, i) for i in range(190)]), 200, TEXT),
    **{
        f"{form.__name__} {name.decode()}": (form(body, b"Content-Encoding: " + name), 200, TEXT)
        for name, body in CODED.items()
        for form in (with_length, chunked)
    },
}


def receive(pieces, *, limits=None, head_request=False, eof=False):
    """What a request becomes when its answer arrives in these pieces: a Response, or the NetError raised."""
    connection, transport, owner = wired(LOOP, limits)
    future = connection.begin(REQUEST, 100.0, None, head_request)
    for piece in pieces:
        if piece and not transport.aborted:
            connection.data_received(piece)
    if eof and not transport.aborted:
        connection.eof_received()
    return (future.exception() or future.result()) if future.done() else None, transport, owner


def cut(data: bytes, places: list[int]) -> list[bytes]:
    bounds = [0, *sorted({place % len(data) for place in places}), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(bounds)]


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_in_one_read_is_understood(name):
    data, status, body = ANSWERS[name]
    answer, transport, owner = receive([data])
    assert isinstance(answer, Response)
    assert (answer.status, answer.body) == (status, body)
    assert owner.released_count == 1
    assert not transport.aborted


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_in_single_bytes_is_understood(name):
    data, status, body = ANSWERS[name]
    answer, _, owner = receive(data[i : i + 1] for i in range(len(data.rstrip(b"\r\n") if "last" in name else data)))
    assert isinstance(answer, Response)
    assert (answer.status, answer.body) == (status, body)
    assert owner.failures == 0


@given(st.sampled_from(sorted(ANSWERS)), st.lists(st.integers(0, 100_000), max_size=8))
def test_any_split_of_the_bytes_gives_the_same_answer(name, places):
    data, status, body = ANSWERS[name]
    if "last" in name:
        data = data.rstrip(b"\r\n")
    answer, _, _ = receive(cut(data, places))
    assert isinstance(answer, Response)
    assert (answer.status, answer.body) == (status, body)
    assert answer.headers == receive([data])[0].headers


@given(st.lists(st.sampled_from(sorted(ANSWERS)), min_size=2, max_size=6))
def test_a_connection_serves_one_answer_after_the_other(names):
    connection, _, owner = wired(LOOP)
    for turn, name in enumerate(names, 1):
        data, status, body = ANSWERS[name]
        future = connection.begin(REQUEST, 100.0, None, False)
        connection.data_received(data[: len(data) // 2])
        connection.data_received(data[len(data) // 2 :])
        assert (future.result().status, future.result().body) == (status, body)
        assert owner.released_count == turn


class _HeaderReader:
    def __init__(self):
        self.headers = []
        self.parser = httptools.HttpResponseParser(self)

    def on_header(self, name, value):
        self.headers.append((name.lower(), value.strip(b" \t")))


_lines = st.lists(
    st.tuples(st.binary(min_size=1, max_size=6), st.sampled_from([b":", b": ", b" :", b":\t"]), st.binary(max_size=8)),
    max_size=6,
)


@given(_lines)
@example([(b"A", b": ", b"b"), (b"a", b":", b""), (b"Set-Cookie", b": ", b"x \t")])
def test_headers_cut_from_the_bytes_are_those_that_the_parser_reads(lines):
    data = with_length(b"x", *[b"".join(line) for line in lines])
    reader = _HeaderReader()
    answer, _, _ = receive([data], eof=True)
    try:
        reader.parser.feed_data(data)
    except httptools.HttpParserError:
        return
    assert isinstance(answer, Response)
    assert answer.headers == reader.headers
    for name, _ in reader.headers:
        assert answer.header(name) == next(value for found, value in reader.headers if found == name)


@given(st.binary(min_size=1, max_size=400), st.booleans())
def test_garbage_becomes_a_net_error_at_the_end_of_the_connection(data, prefixed):
    answer, transport, owner = receive([b"HTTP/1.1 200 OK\r\n" + data if prefixed else data], eof=True)
    assert isinstance(answer, NetError | Response)
    assert transport.aborted
    assert owner.lost_count == 1


@given(st.sampled_from(sorted(ANSWERS)), st.integers(0, 100_000), st.binary(min_size=1, max_size=5), st.booleans())
def test_a_damaged_answer_ends_in_a_net_error_or_a_response(name, place, damage, eof):
    data = ANSWERS[name][0]
    place %= len(data)
    answer, transport, _ = receive([data[:place] + damage + data[place:]], eof=True)
    assert isinstance(answer, NetError | Response)
    assert transport.aborted


@given(st.sampled_from(sorted(ANSWERS)), st.integers(1, 100_000))
def test_an_answer_that_breaks_off_is_never_taken_for_whole(name, place):
    data = ANSWERS[name][0]
    if "last" in name:
        return
    answer, _, _ = receive([data[: place % len(data)]], eof=True)
    assert isinstance(answer, Malformed | Unreachable)
    assert answer.sent


def test_a_body_without_length_ends_with_the_connection():
    answer, transport, _ = receive([b"HTTP/1.0 200 OK\r\nX: y\r\n\r\nhal", b"lo"], eof=True)
    assert answer.body == b"hallo"
    assert transport.aborted


def test_a_broken_compressed_body_without_length_is_malformed():
    data = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + CODED[b"gzip"][:-5]
    assert isinstance(receive([data], eof=True)[0], Malformed)


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Encoding: gzip\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    ],
)
def test_the_answer_to_head_has_no_body_and_the_connection_goes_on(data):
    connection, transport, owner = wired(LOOP)
    future = connection.begin(b"HEAD / HTTP/1.1\r\n\r\n", 100.0, None, True)
    connection.data_received(data[:20])
    connection.data_received(data[20:])
    assert (future.result().status, future.result().body) == (200, b"")
    assert owner.released_count == 1
    future = connection.begin(REQUEST, 100.0, None, False)
    connection.data_received(with_length(b"next"))
    assert future.result().body == b"next"
    assert not transport.aborted


def test_a_body_sent_in_answer_to_head_is_not_taken_for_the_next_answer():
    answer, transport, _ = receive([with_length(b"HTTP/1.1 200 OK\r\n\r\n")], head_request=True)
    assert answer.body == b""
    assert transport.aborted


@pytest.mark.parametrize("extra", [b"x", b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", b"HTTP/1.1 "])
def test_bytes_after_an_answer_close_the_connection_and_change_nothing(extra):
    for name in ("length", "chunked", "204", "informational"):
        data, status, body = ANSWERS[name]
        answer, transport, owner = receive([data + extra])
        assert (answer.status, answer.body) == (status, body)
        assert transport.aborted
        assert owner.released_count == 0


def test_bytes_on_an_idle_connection_close_it():
    connection, transport, owner = wired(LOOP)
    connection.data_received(with_length(b"forged"))
    assert transport.aborted
    assert owner.lost_count == 1


@pytest.mark.parametrize("version", [b"HTTP/1.1 200 OK\r\nConnection: close", b"HTTP/1.0 200 OK"])
def test_a_connection_that_the_peer_will_close_is_not_used_again(version):
    answer, transport, owner = receive([version + b"\r\nContent-Length: 2\r\n\r\nhi"])
    assert answer.body == b"hi"
    assert transport.aborted
    assert owner.released_count == 0


def test_an_answer_before_the_request_was_taken_closes_the_connection():
    connection, transport, owner = wired(LOOP)
    future = connection.begin(REQUEST, 100.0, None, False)
    transport.unwritten = 10
    connection.data_received(with_length(b"no", status=b"413 Too Large"))
    assert future.result().status == 413
    assert transport.aborted
    assert owner.released_count == 0


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-OpenSSH_9.0\r\n",
        b"HTTP/1.1 99 Low\r\n\r\n",
        b"HTTP/1.1 099 Low\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" + b"x",
        b"RTSP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi",
        b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nA: b\r\n folded\r\n\r\n",
        b"HTTP/1.1 200 OK\nContent-Length: 2\n\nhi",
        with_length(b"not gzip", b"Content-Encoding: gzip"),
        with_length(b"not brotli", b"Content-Encoding: br"),
        with_length(b"not zstd", b"Content-Encoding: zstd"),
        with_length(CODED[b"gzip"][:-4], b"Content-Encoding: gzip"),
        with_length(CODED[b"zstd"][:-4], b"Content-Encoding: zstd"),
        with_length(CODED[b"br"][:-1], b"Content-Encoding: br"),
        with_length(CODED[b"deflate"][:-1], b"Content-Encoding: deflate"),
    ],
)
def test_a_peer_that_breaks_http_is_malformed(data):
    answer, transport, _ = receive([data], eof=True)
    assert isinstance(answer, Malformed)
    assert answer.sent
    assert "fake.test:80" in answer.message
    assert transport.aborted


SMALL = ClientLimits(body=1000, head=500, headers=10, ratio=10, ratio_grace=2000)


@pytest.mark.parametrize(
    "data",
    [
        with_length(b"x" * 1001),
        chunked(b"x" * 1001),
        b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 1001,
        with_length(b"", b"X: " + b"y" * 600),
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 600,
        b"HTTP/1.1 103 Early\r\nX: y\r\n\r\n" * 30,
        with_length(b"", *[b"X: y"] * 11),
        with_length(b"x", b"Content-Encoding: compress"),
        with_length(b"x", b"Content-Encoding: gzip, gzip, gzip, gzip, gzip"),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nx",
        with_length(gzip.compress(bytes(1001), mtime=0), b"Content-Encoding: gzip"),
    ],
)
def test_what_breaks_our_limits_is_rejected(data):
    for pieces in ([data], [data[i : i + 7] for i in range(0, len(data), 7)]):
        answer, transport, _ = receive(pieces, limits=SMALL)
        assert isinstance(answer, Rejected)
        assert answer.sent
        assert transport.aborted


def test_the_largest_body_allowed_is_allowed():
    assert receive([with_length(b"x" * 1000)], limits=SMALL)[0].body == b"x" * 1000
    assert receive([chunked(b"x" * 1000)], limits=SMALL)[0].body == b"x" * 1000


ZEROS = bytes(64 * 1024 * 1024)
BOMBS = {
    b"gzip": gzip.compress(ZEROS, mtime=0),
    b"deflate": zlib.compress(ZEROS),
    b"br": brotli.compress(ZEROS, quality=5),
    b"zstd": zstandard.compress(ZEROS),
    b"gzip, gzip": gzip.compress(gzip.compress(ZEROS, mtime=0), mtime=0),
    b"zstd, br": brotli.compress(zstandard.compress(ZEROS)),
}


@pytest.mark.parametrize("coding", BOMBS)
def test_a_bomb_is_not_unpacked(coding):
    data = with_length(BOMBS[coding], b"Content-Encoding: " + coding)
    for body, ratio in ((8 << 20, 100), (1 << 40, 100), (8 << 20, 1 << 40)):
        answer, _, _ = receive([data], limits=ClientLimits(body=body, ratio=ratio))
        assert isinstance(answer, Rejected)


@pytest.mark.parametrize(
    ("coding", "pack"),
    [(b"gzip", gzip.compress), (b"deflate", zlib.compress), (b"br", brotli.compress), (b"zstd", zstandard.compress)],
)
def test_a_small_page_of_blanks_is_no_bomb(coding, pack):
    blanks = b" " * 60_000
    assert receive([with_length(pack(blanks), b"Content-Encoding: " + coding)])[0].body == blanks


@given(st.sampled_from([b"gzip", b"deflate", b"br", b"zstd"]), st.binary(max_size=200))
def test_any_bytes_under_any_coding_are_an_answer_or_a_net_error(coding, body):
    answer, _, _ = receive([with_length(body, b"Content-Encoding: " + coding)])
    assert isinstance(answer, NetError | Response)


def test_a_request_in_pieces_is_written_whole():
    connection, transport, _ = wired(LOOP)
    connection.begin([b"POST / HTTP/1.1\r\n", b"Content-Length: 2\r\n\r\n", b"hi"], 100.0, None, False)
    assert transport.written == b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi"


def test_the_sweep_counts_the_first_byte_from_the_last_progress_of_writing():
    connection, transport, _ = wired(LOOP)
    future = connection.begin(REQUEST, 1000.0, 30.0, False)
    for now, unwritten in ((1, 900), (25, 500), (50, 100), (75, 0), (104, 0)):
        transport.unwritten = unwritten
        connection.check(float(now))
        assert not future.done()
    connection.check(105.0)
    assert "begin to answer within 30 s" in str(future.exception())


def test_the_sweep_ends_a_request_that_nobody_takes():
    connection, transport, _ = wired(LOOP)
    future = connection.begin(REQUEST, 1000.0, 30.0, False)
    transport.unwritten = 900
    connection.check(1.0)
    connection.check(31.0)
    assert "take the request within 30 s" in str(future.exception())


def test_the_sweep_closes_a_connection_that_was_idle_for_long():
    connection, transport, _ = wired(LOOP)
    future = connection.begin(REQUEST, 1000.0, 30.0, False)
    connection.check(1.0)
    connection.data_received(with_length(b""))
    assert future.done()
    connection.check(100.0)
    connection.check(130.0)
    assert not transport.aborted
    connection.check(130.5)
    assert transport.aborted


def test_giving_up_a_finished_request_leaves_the_next_one_alone():
    connection, transport, _ = wired(LOOP)
    first = connection.begin(REQUEST, 100.0, None, False)
    connection.data_received(with_length(b"one"))
    second = connection.begin(REQUEST, 100.0, None, False)
    connection.abandon(first)
    assert not transport.aborted
    connection.data_received(with_length(b"two"))
    assert second.result().body == b"two"
    third = connection.begin(REQUEST, 100.0, None, False)
    connection.abandon(third)
    assert transport.aborted
