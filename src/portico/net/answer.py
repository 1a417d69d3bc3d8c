"""An answer on the long way: put together from several reads, informational answers skipped, codings undone, or
streamed.

The parser has judged the bytes before they come here; this file cuts the head out of them, keeps the limits and
collects the body.
"""

from portico.net.decoding import Decoder
from portico.net.errors import Malformed, Rejected
from portico.net.limits import ClientLimits
from portico.net.response import Head, Response, joined_header
from portico.net.streaming import StreamingResponse


class Answer:
    __slots__ = ("_body", "_decoder", "_folded", "_limits", "_peer", "_raw", "head", "is_bodiless", "stream")

    def __init__(
        self, peer: str, limits: ClientLimits, *, is_bodiless: bool = False, stream: StreamingResponse | None = None
    ) -> None:
        self.head: bytes | None = None  # The status line and the header lines of the final answer, once complete.
        self.is_bodiless = is_bodiless  # The request was HEAD.
        self.stream = stream
        self._peer = peer
        self._limits = limits
        self._raw = bytearray()
        self._folded = b""
        self._body: bytes | bytearray = b""
        self._decoder: Decoder | None = None

    @property
    def has_begun(self) -> bool:
        return self.head is not None or bool(self._raw)

    @property
    def ends_with_connection(self) -> bool:
        """Whether the body has no length of its own, so that the end of the connection is its proper end."""
        lengths = (b"\r\ncontent-length:", b"\r\ntransfer-encoding:")
        return self.head is not None and not any(length in self._folded for length in lengths)

    def take(self, data: bytes, pieces: list[bytes]) -> None:
        """Takes in one read and the pieces of body that the parser found in it. Raises Malformed or Rejected."""
        if self.head is None and not self._take_head(data):
            return
        if pieces and not self.is_bodiless:
            self._take_body(b"".join(pieces))
            pieces.clear()

    def finish(self) -> Response | None:
        """The complete answer; None if it was streamed. Raises Malformed if a coding breaks off."""
        if self.stream is not None:
            self.stream.end(None)
            return None
        if self._decoder is not None and not self.is_bodiless:
            self._decoder.finish()
        head = self.head or b""
        return Response(Head(int(head[9:12]), head, self._folded), bytes(self._body))

    def _take_head(self, data: bytes) -> bool:
        """Cuts the head out of what has arrived, passing over informational answers. False while it is incomplete."""
        raw = self._raw
        raw += data
        start, limit = 0, self._limits.head
        while True:
            while raw[start : start + 1] in (b"\r", b"\n"):
                start += 1
            end = raw.find(b"\r\n\r\n", start)
            if end > limit or (end < 0 and len(raw) > limit):
                raise Rejected(f"{self._peer} answered with more than {limit} bytes of headers", sent=True)
            if end < 0:
                return False
            if raw[start + 9 : start + 10] != b"1":
                break
            start = end + 4
        self._accept(bytes(raw[start:end]))
        raw.clear()
        return True

    def _accept(self, head: bytes) -> None:
        if not head.startswith(b"HTTP/1.") or not head[9:12].isdigit() or head[9:10] == b"0":
            raise Malformed(f"{self._peer} did not answer in HTTP/1.1", sent=True)
        if head.count(b"\r\n") > self._limits.headers:
            raise Rejected(f"{self._peer} answered with more than {self._limits.headers} headers", sent=True)
        self._folded = head.lower()
        if b"encoding:" in self._folded and not self.is_bodiless and head[9:12] not in (b"204", b"304"):
            self._choose_codings(head)
        self.head = head
        if self.stream is not None:
            self.stream.begin(int(head[9:12]), head, self._folded, self._decoder)

    def _choose_codings(self, head: bytes) -> None:
        if joined_header(head, b"transfer-encoding").lower() not in (b"", b"chunked"):
            raise Rejected(f"{self._peer} answered with a transfer coding other than chunked", sent=True)
        codings = joined_header(head, b"content-encoding").decode("latin-1")
        if codings:
            self._decoder = Decoder(codings, self._limits, self._peer)

    def _take_body(self, data: bytes) -> None:
        if self.stream is not None:
            self.stream.push(data)
        elif self._decoder is None:
            self._append(data)
        else:
            for piece in self._decoder.feed(data):
                self._append(piece)

    def _append(self, data: bytes) -> None:
        if len(self._body) + len(data) > self._limits.body:
            raise too_large(self._peer, self._limits)
        if not self._body:
            self._body = data
            return
        if not isinstance(self._body, bytearray):
            self._body = bytearray(self._body)
        self._body += data


def too_large(peer: str, limits: ClientLimits) -> Rejected:
    return Rejected(f"{peer} answered with a body of more than {limits.body} bytes", sent=True)
