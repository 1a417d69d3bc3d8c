"""Reading requests from a connection: bytes, as they arrive, to whole requests and what is wrong with them."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

import httptools

from portico.gateway.exchange import Headers, Request
from portico.gateway.ingress.heads import BadHead, framing, join_header, names_host
from portico.gateway.ingress.home import Home
from portico.gateway.ingress.known_heads import KnownHead

MOST_PIPELINED = 32
FOREVER = float("inf")
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class RequestReader(asyncio.Protocol):
    """The half of a connection that httptools calls. The other half, in http1.py, says what becomes of a request."""

    __slots__ = (
        "_address",
        "_bad",
        "_body",
        "_body_until",
        "_chunked",
        "_framed",
        "_head_size",
        "_headers",
        "_home",
        "_in_head",
        "_last",
        "_learning",
        "_offers",
        "_parser",
        "_queue",
        "_resuming",
        "_segment",
        "_size",
        "_transport",
        "_url",
        "expires",
    )

    def __init__(self, home: Home) -> None:
        self._home = home
        self._parser: Any = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._address = ""
        self._queue: deque[tuple[Request | BadHead, bool]] | None = None
        self._chunked = True
        self._last: KnownHead | None = None
        self._learning: bytes | None = None
        self._resuming = False
        self._segment = 0
        self._body_until = FOREVER
        self._begin()
        self.expires = FOREVER

    def _begin(self) -> None:
        """Ready for the next request's head."""
        self._url = b""
        self._headers: Headers = {}
        self._bad: BadHead | None = None
        self._body: bytes | list[bytes] = b""
        self._size = 0
        self._head_size = self._framed = 0
        self._in_head = True
        self._offers = False

    # What the other half does ---------------------------------------------------------------------------------------

    def _is_quiet(self) -> bool:
        """Whether the next request may be answered: nothing is being said, and what was said has been read."""
        raise NotImplementedError

    def _is_unread(self) -> bool:
        """Whether the client does not read what it asked for."""
        raise NotImplementedError

    def _start(self, item: Request | BadHead, keep: bool) -> None:
        raise NotImplementedError

    def _reject(self, error: BadHead) -> None:
        raise NotImplementedError

    def _write(self, data: bytes) -> None:
        raise NotImplementedError

    # Bytes and what the parser makes of them ------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        self._segment = len(data)
        if self._in_head:
            if self._head_size == 0 and self._is_quiet():
                home = self._home
                if not self._queue and len(data) <= home.max_body:
                    last = self._last
                    found = last.again(data) if last is not None else None
                    found = found or home.known.find(data)
                    if found is not None:
                        self._take(*found)
                        return
                    self._learning = data
                self.expires = home.now + home.limits.head
            self._head_size += len(data)
        else:
            self._framed += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._ignore_offers(data[upgrade.args[0] :])
        except httptools.HttpParserError:
            self._refuse_garbage()
        else:
            limits = self._home.heads
            if self._in_head and self._head_size > limits.url + limits.size:
                self._reject(limits.too_large())
            elif self._framed > 2 * self._size + limits.size:
                self._reject(BadHead(413, "The chunks of the body are wrapped in more than they hold."))

    def on_url(self, url: bytes) -> None:
        if self._resuming:
            return
        self._url = self._url + url if self._url else url

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_head or self._resuming:
            return  # Trailers are nobody's business here, and must not pass for headers.
        name = name.lower()
        headers = self._headers
        if name in headers:
            try:
                headers[name] = join_header(name, headers[name], value)
            except BadHead as error:
                self._bad = self._bad or error
        else:
            headers[name] = value

    def on_headers_complete(self) -> None:
        if self._resuming:
            return
        self._in_head = False
        headers = self._headers
        if self._bad is None:
            self._bad = self._judge_head(headers)
        if b"upgrade" in headers and self._parser is not None:
            self._offers = self._parser.should_upgrade()
        if self._is_quiet() and not self._queue:
            if self._bad is not None:
                # A client may wait for this answer before it sends the body.
                self._reject(self._bad)
                return
            if headers.get(b"expect", b"").lower() == b"100-continue":
                self._write(_CONTINUE)
            limits, now = self._home.limits, self._home.now
            self._body_until = now + limits.body
            self.expires = min(self._body_until, now + limits.body_idle)

    def _judge_head(self, headers: Headers) -> BadHead | None:
        limits = self._home.heads
        if len(self._url) > limits.url:
            return limits.too_long()
        if len(headers) > limits.headers:
            return limits.too_many()
        # What came in too few bytes for that need not be summed.
        if self._segment + self._head_size > limits.size and _size(headers) > limits.size:
            return limits.too_large()
        if b"host" not in headers:
            return BadHead(400, "The Host header is missing.")
        if self._url[:1] != b"/" and not names_host(self._url, headers[b"host"]):
            return BadHead(400, "The request's target names another host than its Host header.")
        length = headers.get(b"content-length")
        if length is not None and len(length) > 6 and int(length) > self._home.max_body:
            return self._too_large()
        return None

    def _too_large(self) -> BadHead:
        return BadHead(413, f"The body is larger than {self._home.max_body} bytes.")

    def on_body(self, body: bytes) -> None:
        self._size += len(body)
        if self._size > self._home.max_body:
            self._bad = self._bad or self._too_large()
        if self._bad is not None:
            # Nobody will read the rest, so it is not waited for either.
            self._reject(self._bad)
        elif not self._body:
            self._body = body
        elif isinstance(self._body, list):
            self._body.append(body)
        else:
            self._body = [self._body, body]
        if self._is_quiet():
            self.expires = min(self._body_until, self._home.now + self._home.limits.body_idle)

    def on_message_complete(self) -> None:
        if self._offers and not self._resuming:
            return  # The parser stops here; see _ignore_offers.
        if self._transport is None or self._transport.is_closing():
            return
        keep = self._parser.should_keep_alive() if self._parser is not None else False
        version = self._parser.get_http_version() if self._parser is not None else "1.1"
        if version not in ("1.1", "1.0"):
            self._bad = self._bad or BadHead(400, "Only HTTP/1.1 and HTTP/1.0 are spoken here.")
        item: Request | BadHead = self._bad if self._bad is not None else self._request()
        chunked = version == "1.1"
        if self._learning is not None:
            if keep and chunked and isinstance(item, Request):
                item.known = self._home.known.learn(self._learning, item)
            self._learning = None
        self._begin()
        if not self._is_unread():
            self.expires = FOREVER
        if self._is_quiet() and not self._queue:
            self._chunked = chunked
            self._start(item, keep)
            return
        if self._queue is None:
            self._queue = deque()
        self._queue.append((item, keep))
        if len(self._queue) >= MOST_PIPELINED:
            self._transport.pause_reading()

    def _take(self, known: KnownHead, length: bytes, body: bytes) -> None:
        """A whole request with a head that the parser knows: what on_message_complete would make of it."""
        home, headers = self._home, known.headers
        self._last = known
        if headers[b"content-length"] != length:
            headers = {**headers, b"content-length": length}
        address, scheme, handed_over = home.callers.client(self._address, home.scheme, headers)
        self.expires = FOREVER
        self._chunked = True
        request = Request(known.method, known.path, known.query, headers, body, address, scheme, handed_over, known)
        self._start(request, True)

    def _request(self) -> Request:
        url = self._url
        if url[:1] != b"/":
            parsed = httptools.parse_url(url) if url != b"*" else None
            path, query = (parsed.path or b"/", parsed.query or b"") if parsed is not None else (url, b"")
        else:
            path, _, query = url.partition(b"?")
        headers, home = self._headers, self._home
        address, scheme, handed_over = home.callers.client(self._address, home.scheme, headers)
        body = self._body if isinstance(self._body, bytes) else b"".join(self._body)
        method = self._parser.get_method().decode("ascii")
        return Request(method, path, query, headers, body, address, scheme, handed_over)

    def _refuse_garbage(self) -> None:
        self._reject(self._bad or BadHead(400, "This is not HTTP/1.1, or not without ambiguity."))

    def _ignore_offers(self, rest: bytes) -> None:
        """Some clients offer HTTP/2 on their first request. It is answered in HTTP/1.1, as the offer allows.

        The parser stops behind the head of such a request, so that its body would be taken for the next request: a new
        parser is told how long it is.
        """
        while self._transport is not None and not self._transport.is_closing():
            head = framing(self._parser.get_method(), self._parser.get_http_version(), self._headers)
            # A refusal ends the connection, and takes the parser from it.
            parser = self._parser = httptools.HttpRequestParser(self)
            self._offers = False
            try:
                self._resuming = True
                parser.feed_data(head)
                self._resuming = False
                parser.feed_data(rest)
                return
            except httptools.HttpParserUpgrade as upgrade:
                rest = rest[upgrade.args[0] :]
            except httptools.HttpParserError:
                self._refuse_garbage()
                return


def _size(headers: Headers) -> int:
    return sum(len(name) + len(value) for name, value in headers.items())
