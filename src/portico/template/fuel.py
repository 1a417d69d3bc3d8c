"""Bounded work: every rendering has so much fuel, and whatever grows or repeats spends some of it.

One unit is about one step of an evaluation or 64 characters of text. The budget travels in the scope, beside the
values, so that renderings on several threads never share one.
"""

from __future__ import annotations

from typing import Any

from portico.template.errors import RenderError

FUEL = "%fuel"
UNITS = 250_000
MAX_SOURCE = 65_536
MAX_OUTPUT = 1_048_576
MAX_DEPTH = 64
MAX_BITS = 4_096


def fuelled(context: Any) -> dict[str, Any]:
    """A scope over the context with a full tank."""
    scope = dict(context)
    scope[FUEL] = [UNITS, MAX_OUTPUT]
    return scope


def spend(scope: dict[str, Any], units: int) -> None:
    tank = scope[FUEL]
    tank[0] -= units
    if tank[0] < 0:
        raise RenderError("the template takes too much work")


def spend_output(scope: dict[str, Any], characters: int) -> None:
    tank = scope[FUEL]
    tank[1] -= characters
    if tank[1] < 0:
        raise RenderError("the template's result is larger than 1 MiB")


def weigh(scope: dict[str, Any], value: Any, depth: int = 0) -> Any:
    """Pay for walking through a value, before something that cannot stop half-way walks through it.

    A list may hold one list many times, so that a small structure can be a giant when it is written out.
    """
    kind = type(value)
    if kind is str:
        spend(scope, 1 + (len(value) >> 6))
    elif kind is list or kind is dict:
        if depth >= MAX_DEPTH:
            raise RenderError(f"a value is nested more than {MAX_DEPTH} levels deep")
        spend(scope, 1 + len(value))
        for item in value if kind is list else value.values():
            if type(item) is str or type(item) is list or type(item) is dict:
                weigh(scope, item, depth + 1)
    return value
