"""Walks the schemas within a JSON Schema, and not the data in it (a `default` may hold a key called $ref)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from portico.config.positions import Path

_BY_NAME = frozenset(("properties", "patternProperties", "$defs", "definitions", "dependentSchemas"))
_LISTS = frozenset(("allOf", "anyOf", "oneOf", "prefixItems", "items"))
_SINGLE = frozenset(
    (
        "additionalItems",
        "additionalProperties",
        "contains",
        "contentSchema",
        "else",
        "if",
        "items",
        "not",
        "propertyNames",
        "then",
        "unevaluatedItems",
        "unevaluatedProperties",
    )
)
# Those of 2020-12, and `nullable` and `example` of OpenAPI, which documents inherit from there.
_OTHERS = """
    $schema $id $ref $anchor $dynamicRef $dynamicAnchor $vocabulary $comment type enum const multipleOf maximum minimum
    exclusiveMaximum exclusiveMinimum maxLength minLength pattern maxItems minItems uniqueItems maxContains minContains
    maxProperties minProperties required dependentRequired format contentEncoding contentMediaType title description
    default deprecated readOnly writeOnly examples example nullable
"""
KEYWORDS = _BY_NAME | _LISTS | _SINGLE | frozenset(_OTHERS.split())


class Subschema(NamedTuple):
    """`reachable` says that a chain of `properties` keys alone leads here."""

    path: Path
    schema: dict[str, Any]
    reachable: bool


def subschemas(schema: Any, path: Path = (), reachable: bool = True) -> Iterator[Subschema]:
    """The schema itself and every schema in it."""
    if not isinstance(schema, dict):
        return
    yield Subschema(path, schema, reachable)
    for keyword, value in schema.items():
        if keyword in _BY_NAME and isinstance(value, dict):
            for name, inner in value.items():
                yield from subschemas(inner, (*path, keyword, name), reachable and keyword == "properties")
        elif keyword in _LISTS and isinstance(value, list):
            for index, inner in enumerate(value):
                yield from subschemas(inner, (*path, keyword, index), False)
        elif keyword in _SINGLE:
            yield from subschemas(value, (*path, keyword), False)
