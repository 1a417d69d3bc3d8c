"""Bounds what validating one value may cost: references can double the work with every line of a schema.

The validator runs without a clock, so a schema that could run for minutes must not be accepted in the first place.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

from portico.config.subschemas import subschemas

MAX_VISITS = 100_000
MAX_CHAIN = 200


def too_costly(schema: dict[str, Any]) -> bool:
    """Whether the schema visits more than MAX_VISITS schemas, each reference counted as often as it is followed."""
    try:
        return _Effort(schema).of(schema, 0) > MAX_VISITS
    except _TooDeep:
        return True


class _TooDeep(Exception):
    pass


class _Effort:
    def __init__(self, root: dict[str, Any]) -> None:
        self.root = root
        self.known: dict[int, int] = {}
        self.anchors = {
            each.schema[keyword]: each.schema
            for each in subschemas(root)
            for keyword in ("$anchor", "$dynamicAnchor")
            if isinstance(each.schema.get(keyword), str)
        }

    def of(self, schema: dict[str, Any], depth: int) -> int:
        key = id(schema)
        if key in self.known:
            return self.known[key]
        if depth > MAX_CHAIN:
            raise _TooDeep
        # A schema that refers to itself is counted once here: how far it goes depends on the value.
        self.known[key] = 1
        total = 0
        for each in subschemas(schema):
            total += 1
            for keyword in ("$ref", "$dynamicRef"):
                target = self.target(each.schema.get(keyword))
                total += self.of(target, depth + 1) if target is not None else 0
        self.known[key] = total
        return total

    def target(self, reference: Any) -> dict[str, Any] | None:
        if not isinstance(reference, str) or not reference.startswith("#"):
            return None
        fragment = unquote(reference[1:])
        found: Any = self.root if not fragment or fragment[0] == "/" else self.anchors.get(fragment)
        for part in fragment.split("/")[1:] if fragment.startswith("/") else ():
            name = part.replace("~1", "/").replace("~0", "~")
            if (
                isinstance(found, list)
                and name.isascii()
                and name.isdigit()
                and len(name) < 8
                and int(name) < len(found)
            ):
                found = found[int(name)]
            else:
                found = found.get(name) if isinstance(found, dict) else None
        return found if isinstance(found, dict) else None
