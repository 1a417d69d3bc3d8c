"""The header values that mirror a modern request's body (specification 2026-07-28, streamable HTTP: Value Encoding)."""

from __future__ import annotations

import base64
import binascii
import re
from decimal import Decimal
from typing import Any

_START, _END = b"=?base64?", b"?="
_NUMBER = re.compile(r"-?[0-9]{1,400}(\.[0-9]{1,400})?([eE][+-]?[0-9]{1,3})?")


def decode_value(value: bytes) -> str | None:
    """The text that a mirrored header carries, or None when it has characters that a header may not have."""
    value = value.strip(b" \t")
    if value.startswith(_START) and value.endswith(_END) and len(value) >= len(_START) + len(_END):
        try:
            return base64.b64decode(value[len(_START) : -len(_END)], validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            return None
    if not all(0x20 <= byte <= 0x7E or byte == 0x09 for byte in value):
        return None
    return value.decode("ascii")


def matches(header: str, value: Any) -> bool:
    """Whether a decoded header equals the argument's value; numbers are compared as numbers, to the last digit."""
    if isinstance(value, bool):
        return header == ("true" if value else "false")
    if isinstance(value, int | float):
        return _NUMBER.fullmatch(header) is not None and Decimal(header) == Decimal(str(value))
    return isinstance(value, str) and header == value
