"""Content codings, undone piece by piece, so that no bomb is ever unpacked.

Gzip, deflate (zlib and raw), br and zstd, also on top of each other.

Every coding yields pieces of bounded size and is asked for its ratio after each of them; the caller stops pulling
when it has enough. An unknown coding is Rejected: to hand on bytes that nobody can read would only move the error to
a place that cannot explain it.
"""

import zlib
from collections.abc import Callable, Iterator
from typing import Protocol

import brotli
import zstandard

from portico.net.errors import Malformed, Rejected
from portico.net.limits import ClientLimits

_PIECE = 64 * 1024
# A block of zstd is four bytes at the least and unpacks to 128 KiB at the most, so a slice unpacks to 8 MiB in the
# worst case.
_ZSTD_SLICE = 256
_ZSTD_WINDOW = 8 * 1024 * 1024
_CODINGS_AT_MOST = 4


class _Coding(Protocol):
    finished: bool

    def decode(self, data: bytes) -> Iterator[bytes]: ...


class _Gzip:
    """One or more members; whatever follows the last one is ignored, as gzip itself does."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(31)
        self._tail: bytes | None = None  # Bytes behind a member while it is not yet known whether another begins.
        self._over = False
        self.finished = False

    def decode(self, data: bytes) -> Iterator[bytes]:
        while data and not self._over:
            if self._tail is not None:
                data = self._tail + data
                self._tail = data
                if len(data) < 2:
                    return
                if data[:2] != b"\x1f\x8b":
                    self._over = True
                    return
                self._member, self._tail, self.finished = zlib.decompressobj(31), None, False
            yield from _inflate(self._member, data)
            if not self._member.eof:
                return
            self._tail, self.finished, data = b"", True, self._member.unused_data


class _Deflate:
    """What HTTP calls deflate is zlib's format, but raw deflate is sent as well: the first two bytes tell."""

    def __init__(self) -> None:
        self._start = b""
        self._stream: zlib._Decompress | None = None
        self.finished = False

    def decode(self, data: bytes) -> Iterator[bytes]:
        if self._stream is None:
            data = self._start = self._start + data
            if len(data) < 2:
                return
            is_zlib = data[0] & 0x0F == 8 and int.from_bytes(data[:2], "big") % 31 == 0
            self._stream = zlib.decompressobj(15 if is_zlib else -15)
        if not self.finished:
            yield from _inflate(self._stream, data)
            self.finished = self._stream.eof


class _Brotli:
    def __init__(self) -> None:
        self._stream = brotli.Decompressor()
        self.finished = False

    def decode(self, data: bytes) -> Iterator[bytes]:
        if self.finished:
            return
        piece = self._stream.process(data, output_buffer_limit=_PIECE)
        while piece:
            yield piece
            piece = self._stream.process(b"", output_buffer_limit=_PIECE)
        self.finished = self._stream.is_finished()


class _Zstd:
    def __init__(self) -> None:
        self._context = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW)
        self._frame = self._context.decompressobj()
        self.finished = False

    def decode(self, data: bytes) -> Iterator[bytes]:
        for start in range(0, len(data), _ZSTD_SLICE):
            rest = data[start : start + _ZSTD_SLICE]
            while rest:
                if self.finished:
                    self._frame, self.finished = self._context.decompressobj(), False
                yield self._frame.decompress(rest)
                self.finished = self._frame.eof
                rest = self._frame.unused_data if self.finished else b""


def _inflate(stream: "zlib._Decompress", data: bytes) -> Iterator[bytes]:
    piece = stream.decompress(data, _PIECE)
    while piece:
        yield piece
        piece = stream.decompress(stream.unconsumed_tail, _PIECE)


_CODINGS: dict[str, Callable[[], _Coding]] = {
    "gzip": _Gzip,
    "x-gzip": _Gzip,
    "deflate": _Deflate,
    "br": _Brotli,
    "zstd": _Zstd,
}


class Decoder:
    """Undoes the codings of one answer. `feed` is lazy: nothing is unpacked before the next piece is asked for."""

    __slots__ = ("_bytes_in", "_bytes_out", "_codings", "_limits", "_peer")

    def __init__(self, content_encoding: str, limits: ClientLimits, peer: str) -> None:
        names = [name.strip().lower() for name in content_encoding.split(",")]
        names = [name for name in names if name not in ("", "identity")]
        if len(names) > _CODINGS_AT_MOST:
            raise Rejected(f"{peer} answered with {len(names)} content codings on top of each other", sent=True)
        for name in names:
            if name not in _CODINGS:
                raise Rejected(
                    f"{peer} answered in the content coding {name[:32]!r}, which Portico does not read", sent=True
                )
        self._codings = [_CODINGS[name]() for name in reversed(names)]
        self._bytes_in = [0] * len(names)
        self._bytes_out = [0] * len(names)
        self._limits = limits
        self._peer = peer

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The decoded pieces of some encoded bytes. Raises Malformed or Rejected."""
        try:
            yield from self._run(data, 0)
        except (zlib.error, brotli.error, zstandard.ZstdError) as error:
            raise Malformed(
                f"{self._peer} answered with a body that its content coding cannot read: {error}", sent=True
            ) from error

    def finish(self) -> None:
        """To be called at the end of the body: raises Malformed if a coding is still in the middle."""
        for coding, taken in zip(self._codings, self._bytes_in, strict=True):
            if taken and not coding.finished:
                raise Malformed(f"{self._peer} answered with a compressed body that breaks off", sent=True)

    def _run(self, data: bytes, level: int) -> Iterator[bytes]:
        if level == len(self._codings):
            yield data
            return
        limits = self._limits
        self._bytes_in[level] += len(data)
        for piece in self._codings[level].decode(data):
            self._bytes_out[level] += len(piece)
            if self._bytes_out[level] > limits.ratio_grace + limits.ratio * self._bytes_in[level]:
                raise Rejected(
                    f"{self._peer} answered with a body that unpacks to more than {limits.ratio} times its size",
                    sent=True,
                )
            if piece:
                yield from self._run(piece, level + 1)
