"""A complete answer. Its head stays the bytes that the parser has found valid, and is read where somebody asks."""


class Head:
    """The status line and the header lines of an answer, without the empty line. Many answers may share one, so what
    was looked up in it is kept."""

    __slots__ = ("_folded", "_found", "_raw", "status")

    def __init__(self, status: int, raw: bytes, folded: bytes) -> None:
        """`folded` is `raw` in lower case."""
        self.status = status
        self._raw = raw
        self._folded = folded
        self._found: dict[bytes, bytes | None] = {}

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        return header_list(self._raw)

    def header(self, name: bytes) -> bytes | None:
        found = self._found
        if name in found:
            return found[name]
        value = found[name] = find_header(self._raw, self._folded, name)
        return value


class Response:
    """`status`, `body` (decoded, complete), `headers` (names in lower case, in order, repeated ones kept), and the
    first header of a name, which is to be given in lower case."""

    __slots__ = ("_head", "body", "status")

    def __init__(self, head: Head, body: bytes) -> None:
        self.status = head.status
        self.body = body
        self._head = head

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        return self._head.headers

    def header(self, name: bytes) -> bytes | None:
        return self._head.header(name)

    def __repr__(self) -> str:
        return f"<Response {self.status}, {len(self.body)} bytes>"


def header_list(head: bytes) -> list[tuple[bytes, bytes]]:
    # Folded lines, lone CR or LF and blanks before the colon are refused by the parser, so splitting is parsing.
    lines = (line.partition(b":") for line in head.split(b"\r\n")[1:])
    return [(name.lower(), value.strip(b" \t")) for name, _, value in lines]


def find_header(head: bytes, folded: bytes, name: bytes) -> bytes | None:
    start = folded.find(b"\r\n" + name + b":")
    if start < 0:
        return None
    start += len(name) + 3
    end = head.find(b"\r\n", start)
    return (head[start:] if end < 0 else head[start:end]).strip(b" \t")


def joined_header(head: bytes, name: bytes) -> bytes:
    """All headers of that name as one list, as HTTP allows to write it."""
    return b", ".join(value for found, value in header_list(head) if found == name)
