"""The values of the language: JSON's, and one for what is not there."""

from __future__ import annotations

from typing import Any

import msgspec

from portico.template.errors import RenderError


class Missing:
    """What a path gives that leads nowhere: an optional argument that was not given, a header that was not sent."""

    __slots__ = ()

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "MISSING"


MISSING = Missing()

_KINDS = {str: "text", bool: "true or false", int: "a number", float: "a number", list: "a list", dict: "an object"}


def kind_of(value: Any) -> str:
    return "null" if value is None else "nothing" if value is MISSING else _KINDS.get(type(value), "an unknown value")


def is_number(value: Any) -> bool:
    return type(value) is int or type(value) is float


def json_of(value: Any) -> str:
    """Compact JSON. NaN and infinity have none."""
    try:
        encoded = msgspec.json.encode(value).decode()
    except (TypeError, ValueError, RecursionError, OverflowError):
        raise RenderError(f"{kind_of(value)} cannot be written as JSON") from None
    if encoded == "null" and value is not None:
        raise RenderError("a number that is not finite cannot be written as JSON")
    return encoded


def text_of(value: Any) -> str:
    """How a value reads inside a text: text as it is, everything else as JSON writes it."""
    kind = type(value)
    if kind is str:
        return value
    if kind is int:
        return str(value)
    return json_of(value)
