"""How commands show what they found: columns for people, and times as everybody reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any


def moment(milliseconds: int | None) -> str | None:
    if milliseconds is None:
        return None
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """A heading and a line for each row; nothing when there is none."""
    if not rows:
        return []
    heads = list(rows[0])
    cells = [heads, *([_cell(row[head]) for head in heads] for row in rows)]
    widths = [max(len(line[index]) for line in cells) for index in range(len(heads))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells]


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return printable(", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value))


def printable(text: str) -> str:
    """A text that came from elsewhere must not move the cursor of a terminal."""
    return "".join(character if character.isprintable() else "?" for character in text)
