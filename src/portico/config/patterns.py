"""Patterns that choose names: `search_*` allows, `!search_code` denies. Their order does not matter: a denial always
wins.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Patterns:
    """`*` stands for any characters, none included; everything else for itself. Denials alone allow all the rest, and
    an empty list allows nothing."""

    allow: tuple[str, ...]
    deny: tuple[str, ...]

    def admits(self, name: str) -> bool:
        allowed = any(matches(pattern, name) for pattern in self.allow)
        return allowed and not self.denies(name)

    def denies(self, name: str) -> bool:
        return any(matches(pattern, name) for pattern in self.deny)


def compile_patterns(texts: Iterable[str]) -> Patterns:
    written = tuple(texts)
    deny = tuple(text[1:] for text in written if text.startswith("!"))
    allow = tuple(text for text in written if not text.startswith("!"))
    return Patterns(allow or (("*",) if deny else ()), deny)


def matches(pattern: str, name: str) -> bool:
    """In time that grows with the name alone, however many stars there are."""
    first, *rest = pattern.split("*")
    if not rest:
        return name == first
    *middle, last = rest
    if not name.startswith(first) or not name.endswith(last) or len(name) < len(first) + len(last):
        return False
    at, end = len(first), len(name) - len(last)
    for piece in middle:
        found = name.find(piece, at, end)
        if found < 0:
            return False
        at = found + len(piece)
    return True
