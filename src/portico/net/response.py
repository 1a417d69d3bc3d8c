"""A complete answer. Its head stays the bytes that the parser has found valid, and is read where somebody asks."""


class Response:
    """`status`, `body` (decoded, complete), `headers` (names in lower case, in order, repeated ones kept),
    `header(name)`.

    `head` is the status line and the header lines, without the empty line; `folded` the same in lower case.
    """

    __slots__ = ("_folded", "_head", "body", "status")

    def __init__(self, status: int, head: bytes, folded: bytes, body: bytes) -> None:
        self.status = status
        self.body = body
        self._head = head
        self._folded = folded

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        return header_list(self._head)

    def header(self, name: bytes) -> bytes | None:
        """The first header of that name, which is to be given in lower case."""
        return find_header(self._head, self._folded, name)

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
