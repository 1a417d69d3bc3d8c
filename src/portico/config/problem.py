"""Problem: why a document is not acceptable. It says where, what is wrong, and how to mend it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """error: not served. warning: served, but say so. note: worth knowing."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Problem:
    """One finding. `line` and `column` are 1-based, in characters; `pointer` is a JSON pointer (RFC 6901)."""

    code: str
    severity: Severity
    message: str
    mend: str
    pointer: str
    line: int
    column: int
    source: str

    def render(self) -> str:
        """One line, in the form that editors and terminals turn into a link."""
        place = f"{self.source}:{self.line}:{self.column}"
        return _one_line(f"{place}: {self.severity}: {self.message}. {self.mend}. [{self.code}]")

    def __str__(self) -> str:
        return self.render()


def pointer(path: Sequence[str | int]) -> str:
    """The JSON pointer of a path."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


def quoted(text: object, limit: int = 60) -> str:
    """A piece of somebody's document, shortened so that a message stays a message."""
    plain = str(text)
    return f'"{plain if len(plain) <= limit else plain[: limit - 1] + "…"}"'


def _one_line(text: str) -> str:
    # The text of a document is somebody else's: a terminal must not obey what stands in it.
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in text)
