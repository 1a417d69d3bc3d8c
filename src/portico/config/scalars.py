"""What a plain scalar of YAML means: the core schema of YAML 1.2 and nothing else.

So `no`, `on`, `12:30` and `2026-01-01` are text, `0o17` is octal and `017` is seventeen. Numbers that JSON cannot carry
to every client (not a number, infinities, more than 64 bits) are refused rather than rounded.
"""

from __future__ import annotations

import math
import re

Scalar = str | int | float | bool | None

_WORDS: dict[str, Scalar] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INTEGER = re.compile(r"[-+]?[0-9]++|0o[0-7]++|0x[0-9a-fA-F]++")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]++|[0-9]++(?:\.[0-9]*+)?)(?:[eE][-+]?[0-9]++)?")
_ODD = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_BASES = {"0o": 8, "0x": 16}
_LONGEST_INTEGER = 24


class NotANumber(ValueError):
    """The text looks like a number that this format cannot hold."""


def plain_scalar(text: str) -> Scalar:
    """The value of an unquoted scalar. Raises NotANumber."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in "+-.0123456789":
        return text
    if _INTEGER.fullmatch(text):
        return _integer(text)
    if _FLOAT.fullmatch(text):
        return _float(text)
    if _ODD.fullmatch(text):
        raise NotANumber("infinities and not-a-number cannot be written in JSON")
    return text


def _integer(text: str) -> int:
    if len(text) <= _LONGEST_INTEGER:
        number = int(text[2:], _BASES[text[:2]]) if text[:2] in _BASES else int(text)
        if -(2**63) <= number < 2**64:
            return number
    raise NotANumber("a whole number may have 64 bits")


def _float(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise NotANumber("the number is larger than a double can hold")
    return number
