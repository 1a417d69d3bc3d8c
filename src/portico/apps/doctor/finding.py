"""What was looked at, and what was seen."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """`mend` says what would help, and is empty when nothing is wrong."""

    part: str
    says: str
    mend: str = ""

    @property
    def state(self) -> str:
        return "wrong" if self.mend else "ok"
