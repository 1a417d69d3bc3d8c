"""Nodes: compiled expressions, and how they read values and are put together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from portico.template.errors import RenderError, TemplateError
from portico.template.value import MISSING

Evaluate = Callable[[Any], Any]
Key = str | int

MAX_HEIGHT = 150


@dataclass(frozen=True, slots=True)
class Node:
    """A compiled expression. `path` is set where it is nothing but a path, `constant` where it reads nothing."""

    evaluate: Evaluate
    reads: frozenset[tuple[str, ...]]
    offset: int
    path: tuple[Key, ...] | None = None
    constant: bool = False
    height: int = 0

    @property
    def roots(self) -> frozenset[str]:
        return frozenset(path[0] for path in self.reads)

    @property
    def is_input(self) -> bool:
        """Whether it is a path into what the context holds: bounded already, and in need of no fuel."""
        return self.path is not None and bool(self.reads)

    @property
    def name(self) -> str:
        """What to call it in a sentence: never its value."""
        return f"`{'.'.join(map(str, self.path))}`" if self.path else "the expression"


def literal(value: Any, offset: int) -> Node:
    return Node(lambda scope: value, frozenset(), offset, constant=True)


def combined(parts: Iterable[Node], evaluate: Evaluate, offset: int | None = None) -> Node:
    """A node over others. The height is bounded because evaluation is a call a level."""
    parts = list(parts)
    reads = frozenset().union(*(part.reads for part in parts)) if parts else frozenset()
    start = parts[0].offset if offset is None else offset
    height = 1 + max((part.height for part in parts), default=0)
    if height > MAX_HEIGHT:
        raise TemplateError(f"more than {MAX_HEIGHT} operations in a row", "make the expression simpler", start)
    return Node(evaluate, reads, start, constant=all(part.constant for part in parts), height=height)


def reader(keys: tuple[Key, ...]) -> Evaluate:
    """A closure for the path; the usual case costs two or three subscriptions and nothing else."""

    def slowly(scope: Any) -> Any:
        value: Any = scope
        for key in keys:
            value = step(value, key)
        return value

    if len(keys) == 2:
        first, second = keys

        def two(scope: Any) -> Any:
            try:
                return scope[first][second]
            except (KeyError, IndexError, TypeError):
                return slowly(scope)

        return two
    if len(keys) == 3:
        first, second, third = keys

        def three(scope: Any) -> Any:
            try:
                return scope[first][second][third]
            except (KeyError, IndexError, TypeError):
                return slowly(scope)

        return three

    def quickly(scope: Any) -> Any:
        value = scope
        try:
            for key in keys:
                value = value[key]
        except (KeyError, IndexError, TypeError):
            return slowly(scope)
        return value

    return quickly


def step(value: Any, key: Any) -> Any:
    if type(value) is dict or isinstance(value, Mapping):
        found = value.get(key, MISSING)
        return value.get(str(key), MISSING) if found is MISSING and type(key) is int else found
    if isinstance(value, list | str) and type(key) is int:
        return value[key] if -len(value) <= key < len(value) else MISSING
    return MISSING


def present(value: Any, name: str) -> Any:
    if value is MISSING:
        raise RenderError(f"{name} has no value here; `| default(…)` can give it one")
    return value
