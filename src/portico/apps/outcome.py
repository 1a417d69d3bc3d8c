"""What a command that works on a store has to say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Outcome:
    """Lines for people, the same for programs, and the exit code."""

    lines: list[str]
    data: Any
    code: int = 0
