"""A tool's input schema, compiled: validation with a reason, defaults, mirrored headers, and texts made into values."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jsonschema_rs

from portico.gateway.routing.catalog import HeaderMirror

_MOST_REASONS = 5
_MOST_TEXT = 300
_INTEGER = re.compile(r"-?[0-9]{1,400}")
_NUMBER = re.compile(r"-?[0-9]{1,200}(\.[0-9]{1,300})?([eE][+-]?[0-9]{1,2})?")


@dataclass(frozen=True, slots=True)
class Arguments:
    is_valid: Callable[[Any], bool]
    explain: Callable[[Any], str]
    coerce: Callable[[dict[str, str]], dict[str, Any]]
    fill: Callable[[dict[str, Any]], dict[str, Any]] | None
    mirrors: tuple[HeaderMirror, ...]


def compile_arguments(schema: Mapping[str, Any]) -> Arguments:
    """`format` is asserted, for the schema is the document's own; a reference that leads out of it is refused."""
    validator = jsonschema_rs.validator_for(dict(schema), validate_formats=True, retriever=_refuse)
    return Arguments(
        is_valid=validator.is_valid,
        explain=lambda arguments: _explain(validator, arguments),
        coerce=lambda texts: _coerce(schema, texts),
        fill=_filler(schema),
        mirrors=tuple(_mirrors(schema, ())),
    )


def _refuse(uri: str) -> Any:
    raise ValueError(f"{uri} lies outside of the schema and is not fetched")


def _explain(validator: Any, arguments: Any) -> str:
    """Sentences for the model that made the call: where, and what is expected there."""
    reasons = []
    for error in validator.iter_errors(arguments):
        where = "/".join(str(part) for part in error.instance_path)
        text = error.message if len(error.message) <= _MOST_TEXT else error.message[:_MOST_TEXT] + "…"
        reasons.append(f"{where}: {text}" if where else text)
        if len(reasons) == _MOST_REASONS:
            break
    return "; ".join(reasons) or "they do not fit the input schema"


def _coerce(schema: Mapping[str, Any], texts: dict[str, str]) -> dict[str, Any]:
    """The variables of a URI are texts; numbers and booleans are read as what their schema wants."""
    properties = schema.get("properties", {})
    return {name: _typed(properties.get(name), text) for name, text in texts.items()}


def _typed(schema: Any, text: str) -> Any:
    kinds = schema.get("type") if isinstance(schema, dict) else None
    kinds = kinds if isinstance(kinds, list) else [kinds]
    if "string" in kinds:
        return text
    # Read as JSON would be, for Python takes more for a number: 1_0, nan, other scripts' digits.
    if "integer" in kinds and _INTEGER.fullmatch(text):
        return int(text)
    if "number" in kinds and _NUMBER.fullmatch(text):
        return float(text)
    if "boolean" in kinds and text in ("true", "false"):
        return text == "true"
    return text


def _filler(schema: Any) -> Callable[[dict[str, Any]], dict[str, Any]] | None:
    """Fills defaults in, of nested objects too; None when the schema has none. The arguments are not changed."""
    properties = schema.get("properties") if isinstance(schema, dict) else None
    if not isinstance(properties, dict):
        return None
    defaults = {name: inner["default"] for name, inner in properties.items() if _has_default(inner)}
    nested = {name: filler for name, inner in properties.items() if (filler := _filler(inner)) is not None}
    if not defaults and not nested:
        return None

    def fill(arguments: dict[str, Any]) -> dict[str, Any]:
        filled = {**defaults, **arguments}
        for name, inner in nested.items():
            if isinstance(filled.get(name), dict):
                filled[name] = inner(filled[name])
        return filled

    return fill


def _has_default(schema: Any) -> bool:
    return isinstance(schema, dict) and "default" in schema


def _mirrors(schema: Any, path: tuple[str, ...]) -> list[HeaderMirror]:
    """Annotations are looked for along `properties` alone (specification 2026-07-28, server/tools: x-mcp-header)."""
    found: list[HeaderMirror] = []
    properties = schema.get("properties") if isinstance(schema, dict) else None
    for name, inner in (properties if isinstance(properties, dict) else {}).items():
        if isinstance(inner, dict) and isinstance(inner.get("x-mcp-header"), str):
            found.append(HeaderMirror(f"mcp-param-{inner['x-mcp-header']}".lower().encode(), (*path, name)))
        found += _mirrors(inner, (*path, name))
    return found
