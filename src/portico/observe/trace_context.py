"""W3C trace context: whose trace a call is part of, as its client says in `traceparent` and `tracestate`.

What a client sends is a stranger's text: whatever is not exactly of the form counts as not sent.
"""

from __future__ import annotations

import re
from typing import NamedTuple

SAMPLED = 0x01
MOST_STATE = 512

# A later version may have more behind the flags, version 00 may not.
_parent = re.compile(r"(?!ff)([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?").fullmatch
_key = r"[a-z0-9][a-z0-9_\-*/@]{0,255}"
_value = r"[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
_member = re.compile(rf"{_key}={_value}").fullmatch


class Parent(NamedTuple):
    """The span of the client that a call hangs on. `state` is empty or a valid tracestate."""

    trace: int
    span: int
    flags: int
    state: str

    @property
    def is_sampled(self) -> bool:
        return bool(self.flags & SAMPLED)


def parse(traceparent: str | None, tracestate: str | None) -> Parent | None:
    """The parent that the two texts name, or None (W3C Trace Context, 3.2 and 3.3)."""
    match = _parent(traceparent) if traceparent is not None and len(traceparent) <= 256 else None
    if match is None or (match[1] == "00" and match[5] is not None):
        return None
    trace, span = int(match[2], 16), int(match[3], 16)
    if not trace or not span:
        return None
    return Parent(trace, span, int(match[4], 16), _state(tracestate))


def _state(text: str | None) -> str:
    if text is None or len(text) > MOST_STATE:
        return ""
    members = [member.strip(" \t") for member in text.split(",")]
    members = [member for member in members if member]
    if len(members) > 32 or not all(_member(member) for member in members):
        return ""
    return ",".join(members)


def header_lines(trace: int, span: int, flags: int, state: str) -> bytes:
    """The lines that hand a context on to the next service."""
    lines = f"traceparent: 00-{trace:032x}-{span:016x}-{flags:02x}\r\n"
    return (lines + f"tracestate: {state}\r\n" if state else lines).encode("ascii")
