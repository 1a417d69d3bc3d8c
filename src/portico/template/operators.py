"""What `+`, `==`, `in` and their kind do. Nothing here can grow without paying for it."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from portico.template.errors import RenderError
from portico.template.fuel import MAX_BITS, spend, weigh
from portico.template.value import is_number, kind_of, text_of

Scope = dict[str, Any]
Binary = Callable[[Scope, Any, Any], Any]


def _misfit(sign: str, left: Any, right: Any) -> RenderError:
    return RenderError(f"`{sign}` does not go with {kind_of(left)} and {kind_of(right)}")


def _bounded(value: Any) -> Any:
    if type(value) is int and value.bit_length() > MAX_BITS:
        raise RenderError("a number is too large")
    return value


def _add(scope: Scope, left: Any, right: Any) -> Any:
    if is_number(left) and is_number(right):
        return _bounded(left + right)
    if type(left) is type(right) and isinstance(left, str | list):
        spend(scope, _size(left) + _size(right))
        return left + right
    raise _misfit("+", left, right)


def _size(value: str | list[Any]) -> int:
    return len(value) >> 6 if isinstance(value, str) else len(value)


def _multiply(scope: Scope, left: Any, right: Any) -> Any:
    if is_number(left) and is_number(right):
        if type(left) is int and type(right) is int and left.bit_length() + right.bit_length() > MAX_BITS:
            raise RenderError("a number is too large")
        return left * right
    if isinstance(left, str | list) and type(right) is int:
        times = max(right, 0)
        spend(scope, (len(left) * times >> (6 if isinstance(left, str) else 0)) + 1)
        return left * times
    raise _misfit("*", left, right)


def _power(scope: Scope, left: Any, right: Any) -> Any:
    if not (is_number(left) and is_number(right)):
        raise _misfit("**", left, right)
    if type(left) is int and type(right) is int and left.bit_length() * abs(right) > MAX_BITS:
        raise RenderError("a number is too large")
    result = left**right
    if isinstance(result, complex):
        raise RenderError("`**` of a negative number needs a whole exponent")
    return result


def _arithmetic(sign: str, compute: Callable[[Any, Any], Any]) -> Binary:
    def apply(scope: Scope, left: Any, right: Any) -> Any:
        if not (is_number(left) and is_number(right)):
            raise _misfit(sign, left, right)
        return _bounded(compute(left, right))

    return apply


def _concatenate(scope: Scope, left: Any, right: Any) -> str:
    left, right = text_of(weigh(scope, left)), text_of(weigh(scope, right))
    return left + right


def equal(scope: Scope, left: Any, right: Any) -> bool:
    """JSON's equality: true is not 1."""
    if isinstance(left, bool) != isinstance(right, bool):
        return False
    return weigh(scope, left) == weigh(scope, right)


def _order(sign: str, compare: Callable[[Any, Any], bool]) -> Binary:
    def apply(scope: Scope, left: Any, right: Any) -> bool:
        if (is_number(left) and is_number(right)) or (type(left) is str and type(right) is str):
            return compare(weigh(scope, left), weigh(scope, right))
        raise _misfit(sign, left, right)

    return apply


def contains(scope: Scope, item: Any, container: Any) -> bool:
    if type(container) is str and type(item) is not str:
        raise _misfit("in", item, container)
    if not isinstance(container, str | list | dict):
        raise _misfit("in", item, container)
    weigh(scope, item)
    if type(container) is dict:
        return type(item) is str and item in container
    weigh(scope, container)
    return item in container


BINARY: dict[str, Binary] = {
    "+": _add,
    "*": _multiply,
    "**": _power,
    "-": _arithmetic("-", operator.sub),
    "/": _arithmetic("/", operator.truediv),
    "//": _arithmetic("//", operator.floordiv),
    "%": _arithmetic("%", operator.mod),
    "~": _concatenate,
    "==": equal,
    "!=": lambda scope, left, right: not equal(scope, left, right),
    "<": _order("<", operator.lt),
    "<=": _order("<=", operator.le),
    ">": _order(">", operator.gt),
    ">=": _order(">=", operator.ge),
    "in": contains,
    "not in": lambda scope, left, right: not contains(scope, left, right),
}
