"""How two texts differ, line by line, as people read it."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Sequence

MOST_WORK = 16_000_000
"""Lines that differ times lines to compare them with: about a second."""


def difference(before: bytes, after: bytes, old: str, new: str) -> list[str]:
    """A unified diff. Of long texts that have little in common it says only how long they are, for to find the best one
    would take minutes."""
    was, now = (text.decode(errors="replace").splitlines() for text in (before, after))
    if _work(was, now) > MOST_WORK:
        return [
            f"--- {old}",
            f"+++ {new}",
            f"@@ {len(was)} lines became {len(now)}, too different to show one by one @@",
        ]
    return list(difflib.unified_diff(was, now, old, new, lineterm=""))


def _work(was: Sequence[str], now: Sequence[str]) -> int:
    """What is at the worst to do: each line that was changed or moved may be compared with every other."""
    if len(was) * len(now) <= MOST_WORK:
        return 0
    shared = set(was) & set(now)
    changed = sum(line not in shared for lines in (was, now) for line in lines)
    # Lines that stand once in both tell what was moved; the others stand anywhere.
    left, right = (_single(lines, shared) for lines in (was, now))
    both = set(left) & set(right)
    places = zip(filter(both.__contains__, left), filter(both.__contains__, right), strict=True)
    return (changed + sum(one != other for one, other in places)) * max(len(was), len(now))


def _single(lines: Sequence[str], shared: set[str]) -> list[str]:
    counts = Counter(lines)
    return [line for line in lines if line in shared and counts[line] == 1]
