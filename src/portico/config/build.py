"""Builds a document's value and its positions together, from what a reader of YAML or JSON meets, within limits.

Limits are checked while reading, before anything is built: a bomb costs no more than its first few hundred characters.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from portico.config.positions import Mark, Node
from portico.config.problem import Problem, Severity, pointer, quoted

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 50
MAX_ALIASES = 50
MAX_VALUES = 100_000
MAX_EXPANSION = 1024 * 1024


class Stop(Exception):
    """Reading cannot go on; carries the problem."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


@dataclass(slots=True)
class _Open:
    """A mapping or a list that is being read."""

    value: dict[str, Any] | list[Any]
    node: Node
    anchor: str | None
    flow: bool
    key: tuple[str, Mark] | None = None
    weight: int = 1
    height: int = 1


@dataclass(slots=True)
class Builder:
    """`key`, `scalar`, `open`, `close` and `alias`, called in the order of the text."""

    source: str
    problems: list[Problem] = field(default_factory=list)
    value: Any = None
    root: Node | None = None
    _stack: list[_Open] = field(default_factory=list)
    _anchors: dict[str, tuple[Any, int, int] | None] = field(default_factory=dict)
    _values: int = 0
    _aliases: int = 0
    _expanded: int = 0

    @property
    def wants_key(self) -> bool:
        """Whether the next scalar is a key of the innermost mapping."""
        return bool(self._stack) and isinstance(self._stack[-1].value, dict) and self._stack[-1].key is None

    def key(self, text: str, mark: Mark) -> None:
        frame = self._stack[-1]
        if isinstance(frame.node.children, dict) and text in frame.node.children:
            first = frame.node.children[text].key or frame.node.mark
            self.report(
                "duplicate-key",
                mark,
                f"the key {quoted(text)} stands twice in one mapping, first on line {first.line + 1} "
                f"and again on line {mark.line + 1}",
                "Remove or rename one of the two",
                extra=(text,),
            )
        frame.weight += 1 + len(text)
        frame.key = (text, mark)

    def scalar(self, value: Any, mark: Mark, text: str, style: str | None, anchor: str | None = None) -> None:
        weight = 1 + len(text)
        if anchor is not None:
            self._anchors[anchor] = (value, weight, 0)
        self._add(value, Node(mark, style, text), weight, 0)

    def open(self, kind: type[dict] | type[list], mark: Mark, anchor: str | None = None, flow: bool = False) -> None:
        if self.wants_key:
            self._not_a_key(mark)
        if len(self._stack) >= MAX_DEPTH:
            raise self.stop(
                "too-deep",
                mark,
                f"values are nested deeper than {MAX_DEPTH} levels",
                "Flatten this part of the document",
            )
        if anchor is not None:
            self._anchors[anchor] = None
        self._stack.append(_Open(kind(), Node(mark, children=kind()), anchor, flow))

    def close(self) -> None:
        frame = self._stack.pop()
        if frame.anchor is not None:
            self._anchors[frame.anchor] = (frame.value, frame.weight, frame.height)
        self._add(frame.value, frame.node, frame.weight, frame.height)

    def alias(self, name: str, mark: Mark) -> None:
        if self.wants_key:
            self._not_a_key(mark)
        if name not in self._anchors:
            raise self.stop(
                "unknown-alias",
                mark,
                f"the alias *{name[:60]} has no anchor before it",
                f"Write &{name[:60]} before the value that is meant, or quote the text",
            )
        meant = self._anchors[name]
        if meant is None:
            raise self.stop(
                "recursive-alias",
                mark,
                f"the alias *{name[:60]} stands inside the value that it repeats",
                "Write the value out",
            )
        self._count(meant[1], meant[2], mark)
        self._add(meant[0], Node(mark), meant[1], meant[2])

    def _count(self, weight: int, height: int, mark: Mark) -> None:
        self._aliases += 1
        self._expanded += weight
        if self._aliases > MAX_ALIASES:
            raise self.stop(
                "too-many-aliases",
                mark,
                f"the document has more than {MAX_ALIASES} aliases",
                "Write the values out, or keep repeated text in `values`",
            )
        if self._expanded > MAX_EXPANSION or len(self._stack) + height > MAX_DEPTH:
            raise self.stop(
                "alias-expansion",
                mark,
                "the aliases expand to more than a document may hold",
                "Write the values out and keep them small",
            )

    def _add(self, value: Any, node: Node, weight: int, height: int) -> None:
        self._values += 1
        if self._values > MAX_VALUES:
            raise self.stop(
                "too-many-values",
                node.mark,
                f"the document has more than {MAX_VALUES} values",
                "Split it into several documents",
            )
        if not self._stack:
            self.value, self.root = value, node
            return
        frame = self._stack[-1]
        frame.weight += weight
        frame.height = max(frame.height, height + 1)
        if isinstance(frame.value, list) and isinstance(frame.node.children, list):
            frame.value.append(value)
            frame.node.children.append(node)
        elif isinstance(frame.value, dict) and isinstance(frame.node.children, dict) and frame.key is not None:
            text, node.key = frame.key
            # Of two equal keys the first is kept, so that what follows is judged once.
            frame.value.setdefault(text, value)
            frame.node.children.setdefault(text, node)
            frame.key = None

    def _not_a_key(self, mark: Mark) -> None:
        template = self._stack[-1].flow
        raise self.stop(
            "key-not-text",
            mark,
            "a mapping or a list cannot be a key" + (" (an unquoted {{ … }} reads as one)" if template else ""),
            'Put quotes around the template, as in "{{ … }}"' if template else "Use text as the key",
        )

    def path(self) -> tuple[str | int, ...]:
        """Where the builder stands."""
        parts: list[str | int] = []
        for frame in self._stack:
            if isinstance(frame.value, list):
                parts.append(len(frame.value))
            elif frame.key is not None:
                parts.append(frame.key[0])
        return tuple(parts)

    def report(
        self,
        code: str,
        mark: Mark,
        message: str,
        mend: str,
        severity: Severity = Severity.ERROR,
        extra: tuple[str, ...] = (),
    ) -> None:
        """Keep a problem and go on."""
        place = pointer((*self.path(), *extra))
        self.problems.append(Problem(code, severity, message, mend, place, mark.line + 1, mark.column + 1, self.source))
        if len(self.problems) > 100:
            raise self.stop("too-many-problems", mark, "the text has more than 100 problems", "Mend those above first")

    def stop(self, code: str, mark: Mark, message: str, mend: str) -> Stop:
        """The exception that ends the reading."""
        place = pointer(self.path())
        return Stop(Problem(code, Severity.ERROR, message, mend, place, mark.line + 1, mark.column + 1, self.source))
