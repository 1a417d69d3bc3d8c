"""Where each value and each key of a document stands in its text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

Path = tuple[str | int, ...]


@dataclass(slots=True)
class Mark:
    """A place in the text; all three count characters from zero."""

    line: int
    column: int
    index: int


@dataclass(slots=True)
class Node:
    """One value as it was written. `key` is where its key stands, when it has one."""

    mark: Mark
    style: str | None = None
    text: str | None = None
    key: Mark | None = None
    children: dict[str, Node] | list[Node] | None = None

    def child(self, part: str | int) -> Node | None:
        if isinstance(self.children, dict):
            return self.children.get(str(part))
        if isinstance(self.children, list) and isinstance(part, int) and 0 <= part < len(self.children):
            return self.children[part]
        return None


@dataclass(frozen=True, slots=True)
class Positions:
    """Finds line and column of a path. A path that is not in the text gets the place of its nearest parent."""

    text: str
    root: Node

    def find(self, path: Sequence[str | int], *, key: bool = False, offset: int | None = None) -> tuple[int, int]:
        """Line and column, 1-based: of the key, of the value, or of a character within a value that is a string."""
        node, whole = self._walk(path)
        if key and whole and node.key is not None:
            return node.key.line + 1, node.key.column + 1
        if offset is not None and (whole or node.text is not None):
            return self._inside(node, offset)
        return node.mark.line + 1, node.mark.column + 1

    def _walk(self, path: Sequence[str | int]) -> tuple[Node, bool]:
        node = self.root
        for part in path:
            child = node.child(part)
            if child is None:
                return node, False
            node = child
        return node, True

    def _inside(self, node: Node, offset: int) -> tuple[int, int]:
        """The place of a character of a string, when the text spells the string as it is; otherwise its beginning."""
        value, line, column = node.text or "", node.mark.line + 1, node.mark.column + 1
        before = value[:offset]
        if node.style in ("|", ">"):
            return self._inside_block(node, before)
        start = node.mark.index + (1 if node.style in ('"', "'") else 0)
        if "\n" in before or self.text[start : start + len(before)] != before:
            return line, column
        return line, column + len(before) + (start - node.mark.index)

    def _inside_block(self, node: Node, before: str) -> tuple[int, int]:
        lines = self.text[node.mark.index :].split("\n", before.count("\n") + 3)
        row, last = before.count("\n") + 1, before.rpartition("\n")[2]
        if row < len(lines):
            written = lines[row]
            indent = len(written) - len(written.lstrip(" "))
            if written[indent:].startswith(last.lstrip(" ")):
                return node.mark.line + 1 + row, written.find(last) + len(last) + 1
        return node.mark.line + 1, node.mark.column + 1


NOWHERE = Positions("", Node(Mark(0, 0, 0)))
