"""The header values that mirror a modern request's body (specification 2026-07-28, streamable HTTP: Value Encoding)."""

from __future__ import annotations

import base64
import binascii
from typing import Any

_START, _END = b"=?base64?", b"?="


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
    """Whether a decoded header equals the argument's value; integers are compared as numbers."""
    if isinstance(value, bool):
        return header == ("true" if value else "false")
    if isinstance(value, int | float):
        try:
            return float(header) == float(value)
        except (ValueError, OverflowError):
            return False
    return isinstance(value, str) and header == value
