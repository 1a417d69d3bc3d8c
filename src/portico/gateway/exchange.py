"""One HTTP request and its reply: the shape that everything below the ingress speaks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

Headers = dict[bytes, bytes]


def _nothing() -> None:
    """There is nothing to cancel."""


class Known(Protocol):
    """A head that came before. In `lane` a handler keeps what it found out about requests that begin with it."""

    lane: Any


class Request:
    """What came in. Header names are lower-case and unique; the path is raw, without query or fragment.

    `address` is the client's, behind trusted proxies resolved. `handed_over` marks a request that another worker
    passed on, which must not be passed on again. `cancel` makes the handler's current wait raise CancelledError;
    `on_disconnect`, where the handler sets it, is called when the client is gone before the reply. `known` is there
    when the same head came before; then the headers may be another request's too and must not be changed.
    """

    __slots__ = (
        "address",
        "body",
        "cancel",
        "handed_over",
        "headers",
        "known",
        "method",
        "on_disconnect",
        "path",
        "query",
        "scheme",
    )

    def __init__(
        self,
        method: str,
        path: bytes,
        query: bytes,
        headers: Headers,
        body: bytes,
        address: str = "",
        scheme: str = "http",
        handed_over: bool = False,
        known: Known | None = None,
    ) -> None:
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers
        self.body = body
        self.address = address
        self.scheme = scheme
        self.handed_over = handed_over
        self.known = known
        self.cancel: Callable[[], object] = _nothing
        self.on_disconnect: Callable[[], object] | None = None

    @property
    def host(self) -> bytes:
        return self.headers.get(b"host", b"")


class Outlet(Protocol):
    """Where the bytes of a streamed reply go. The ingress provides it."""

    def write(self, data: bytes) -> None:
        """Queue bytes for the client; one that reads too slowly is disconnected rather than waited for."""
        ...

    def close(self) -> None:
        """End the reply in order, after what was written."""
        ...


class Stream(Protocol):
    """The body of a streamed reply. The ingress attaches an outlet once and says when the client is gone."""

    def attach(self, outlet: Outlet) -> None: ...

    def detach(self) -> None:
        """The client closed the connection, or reads too slowly."""
        ...


class Reply:
    """A whole answer, or, when `stream` is set, the head of one whose body follows. `more` is what follows `body`: the
    pieces of a long one, which would cost as much to join as to write."""

    __slots__ = ("body", "headers", "more", "status", "stream")

    def __init__(
        self,
        status: int,
        body: bytes = b"",
        headers: tuple[tuple[bytes, bytes], ...] = (),
        stream: Stream | None = None,
        more: tuple[bytes, ...] = (),
    ) -> None:
        self.status = status
        self.body = body
        self.headers = headers
        self.stream = stream
        self.more = more

    @property
    def whole(self) -> bytes:
        return b"".join((self.body, *self.more)) if self.more else self.body

    def with_headers(self, more: tuple[tuple[bytes, bytes], ...]) -> Reply:
        """A reply like this one that says more."""
        return Reply(self.status, self.body, (*self.headers, *more), self.stream, self.more)


JSON = (b"content-type", b"application/json")
JSON_ONLY = (JSON,)
EVENTS = (
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
)


def text_reply(status: int, text: str, headers: tuple[tuple[bytes, bytes], ...] = ()) -> Reply:
    """A plain sentence for people and for programs that print what they get."""
    return Reply(status, text.encode() + b"\n", ((b"content-type", b"text/plain; charset=utf-8"), *headers))
