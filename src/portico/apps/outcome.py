"""What a command that works on a store has to say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from portico.store.store import Conflict, Unknown

REFUSED = 1
WRONG = 2
UNKNOWN = 3


@dataclass(frozen=True, slots=True)
class Outcome:
    """Lines for people, the same for programs, and the exit code."""

    lines: list[str]
    data: Any
    code: int = 0


def code_of(error: Exception) -> int:
    """Whether somebody else was faster, nobody knows whether it was done, or it cannot be done."""
    if isinstance(error, Conflict):
        return REFUSED
    return UNKNOWN if isinstance(error, Unknown) else WRONG
