"""Walks the strings of a YAML tree."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from portico.config.positions import Path


def leaves(value: Any, path: Path) -> Iterator[tuple[Path, str]]:
    """Every string in the value, keys not included."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, (*path, str(key)))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from leaves(inner, (*path, index))
