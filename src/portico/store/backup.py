"""The file of a backup: what it is of, a line of JSON for each row, and an end that says whether all of it is there.

It knows nothing of databases. Lines are packed by gzip, so that `zcat` shows them; bytes are text where they are text.
"""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import msgspec

import portico
from portico.store.records import Row, Stamp
from portico.store.store import StoreError
from portico.store.whole_file import PRIVATE, writing_whole

FORM = 1
PACKING = 6
MAX_LINE = 8 * 1024 * 1024


class Octets(msgspec.Struct, omit_defaults=True):
    text: str | None = None
    base64: bytes | None = None


class BeginLine(msgspec.Struct, tag_field="line", tag="portico backup"):
    form: int
    program: str
    stamp: Stamp


class RowLine(msgspec.Struct, tag_field="line", tag="row"):
    table: str
    values: dict[str, int | str | Octets | None]


class EndLine(msgspec.Struct, tag_field="line", tag="end"):
    """How many rows of each table, and the SHA-256 of all lines before this one."""

    counts: dict[str, int]
    digest: str


_NEWER = "Use the program that made it, or a newer one"
_LINE = msgspec.json.Decoder(BeginLine | RowLine | EndLine)


class BackupWriter:
    def __init__(self, file: gzip.GzipFile) -> None:
        self.counts: Counter[str] = Counter()
        self._file = file
        self._digest = hashlib.sha256()

    def add(self, item: Stamp | Row) -> None:
        if isinstance(item, Stamp):
            self._write(BeginLine(FORM, portico.__version__, item))
        else:
            self.counts[item.table] += 1
            self._write(RowLine(item.table, {name: _out(value) for name, value in item.values.items()}))

    def end(self) -> None:
        self._write(EndLine(dict(self.counts), self._digest.hexdigest()))

    def _write(self, line: BeginLine | RowLine | EndLine) -> None:
        data = msgspec.json.encode(line) + b"\n"
        self._digest.update(data)
        self._file.write(data)


@contextmanager
def writing_backup(path: Path) -> Iterator[BackupWriter]:
    """A new file that is there, for its owner alone, when the block ends well; else nothing is left of it."""
    taken = StoreError(f"{path} is there already", "Name another file, or remove that one")
    if path.exists():
        raise taken
    try:
        with writing_whole(path, mode=PRIVATE, new=True) as file, gzip.GzipFile("", "wb", PACKING, file) as packed:
            writer = BackupWriter(packed)
            yield writer
            writer.end()
    except FileExistsError:
        raise taken from None


class BackupReader:
    """A backup that was read whole once, and is what was written. Its rows can be read again and again."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self._path = path
        self._file = file
        lines = self._lines()
        begin = next(lines)
        assert isinstance(begin, BeginLine)
        self.stamp = begin.stamp
        self.counts = Counter(line.table for line in lines if isinstance(line, RowLine))

    def rows(self) -> Iterator[Row]:
        """StoreError at the latest after the last one, should the file have become another meanwhile."""
        for line in self._lines():
            if isinstance(line, RowLine):
                yield Row(line.table, {name: _in(value) for name, value in line.values.items()})
            elif line.stamp != self.stamp:
                raise self._wrong("it became another one while it was read")

    def _lines(self) -> Iterator[BeginLine | RowLine]:
        """Those before the end. Only who has read them all knows that they are what was written."""
        counts: Counter[str] = Counter()
        digest, number, end = hashlib.sha256(), 0, None
        for number, data in enumerate(self._unpacked(), 1):
            line = self._line(number, data)
            if end is not None or isinstance(line, BeginLine) != (number == 1):
                raise self._wrong(f"line {number} does not belong there")
            if isinstance(line, EndLine):
                end = line
                continue
            digest.update(data)
            if isinstance(line, RowLine):
                counts[line.table] += 1
            elif line.form != FORM:
                raise StoreError(f"{self._path} has the form {line.form}, which this program does not know", _NEWER)
            yield line
        if end is None:
            raise self._wrong(f"it ends too early, after line {number}")
        if (end.digest, end.counts) != (digest.hexdigest(), counts):
            raise self._wrong("it was changed: its digest is not that of its lines")

    def _line(self, number: int, data: bytes) -> BeginLine | RowLine | EndLine:
        if len(data) > MAX_LINE:
            raise self._wrong(f"line {number} is longer than {MAX_LINE // 1024 // 1024} MiB")
        try:
            return _LINE.decode(data)
        except msgspec.MsgspecError as error:
            raise self._wrong(f"line {number}: {error}") from None

    def _unpacked(self) -> Iterator[bytes]:
        self._file.seek(0)
        try:
            with gzip.GzipFile("", "rb", fileobj=self._file) as packed:
                while data := packed.readline(MAX_LINE + 1):
                    yield data
        except EOFError:
            raise self._wrong("it ends too early") from None
        except (gzip.BadGzipFile, zlib.error) as error:
            raise self._wrong(str(error)) from None

    def _wrong(self, why: str) -> StoreError:
        return StoreError(
            f"{self._path} is no whole backup of Portico: {why}", "Nothing was changed; take another backup"
        )


@contextmanager
def reading_backup(path: Path) -> Iterator[BackupReader]:
    """StoreError unless it is whole."""
    with open(path, "rb") as file:
        yield BackupReader(path, file)


def _out(value: int | str | bytes | None) -> int | str | Octets | None:
    if not isinstance(value, bytes):
        return value
    try:
        return Octets(text=value.decode())
    except UnicodeDecodeError:
        return Octets(base64=value)


def _in(value: int | str | Octets | None) -> int | str | bytes | None:
    if not isinstance(value, Octets):
        return value
    return value.base64 if value.base64 is not None else (value.text or "").encode()
