"""Collects the problems of one document, each at its line and column, and no more of them than a person can use."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable

from portico.config.positions import Path, Positions
from portico.config.problem import Problem, Severity, pointer, quoted

MAX_OF_A_SEVERITY = 200
MAX_GUESSES = 300
_CANDIDATES = 500


class Findings:
    """Where every judge puts what it finds."""

    def __init__(self, source: str, positions: Positions, problems: Iterable[Problem] = ()) -> None:
        self.source = source
        self.positions = positions
        self._problems = dict.fromkeys(problems)
        self._counts = Counter(problem.severity for problem in self._problems)
        self._guesses = MAX_GUESSES

    @property
    def errors(self) -> int:
        return self._counts[Severity.ERROR]

    @property
    def problems(self) -> tuple[Problem, ...]:
        """In the order of the text."""
        return tuple(sorted(self._problems, key=lambda p: (p.line, p.column, p.severity != Severity.ERROR)))

    def error(
        self, path: Path, code: str, message: str, mend: str, *, key: bool = False, offset: int | None = None
    ) -> None:
        self._add(Severity.ERROR, path, code, message, mend, key, offset)

    def warning(
        self, path: Path, code: str, message: str, mend: str, *, key: bool = False, offset: int | None = None
    ) -> None:
        self._add(Severity.WARNING, path, code, message, mend, key, offset)

    def note(self, path: Path, code: str, message: str, mend: str, *, key: bool = False) -> None:
        self._add(Severity.NOTE, path, code, message, mend, key, None)

    def line(self, path: Path) -> int:
        return self.positions.find(path)[0]

    def suggest(self, name: str, known: Iterable[str], otherwise: str) -> str:
        """How to mend a name that is not among `known`."""
        names = [text for text, _ in zip(known, range(_CANDIDATES), strict=False)]
        close = self.closest(name, names)
        if close is not None:
            return f"Did you mean {quoted(close)}?"
        if names:
            shown = ", ".join(sorted(names)[:8]) + (", …" if len(names) > 8 else "")
            return f"Known are: {shown}"
        return otherwise

    def closest(self, name: str, known: Iterable[str]) -> str | None:
        """The known name that was most likely meant. Guessing costs time, so there is only so much of it."""
        self._guesses -= 1
        return _closest(name, known) if self._guesses >= 0 else None

    def _add(
        self, severity: Severity, path: Path, code: str, message: str, mend: str, key: bool, offset: int | None
    ) -> None:
        self._counts[severity] += 1
        if self._counts[severity] > MAX_OF_A_SEVERITY + 1:
            return
        line, column = self.positions.find(path, key=key, offset=offset)
        if self._counts[severity] == MAX_OF_A_SEVERITY + 1:
            code, mend = "too-many-problems", "Mend those above first"
            message = f"there are more than {MAX_OF_A_SEVERITY} problems of this severity; the rest is not shown"
        problem = Problem(code, severity, message, mend.rstrip("."), pointer(path), line, column, self.source)
        self._problems.setdefault(problem)


def _closest(name: str, known: Iterable[str]) -> str | None:
    if len(name) > 128:
        return None
    folded = {text.lower().replace("_", "").replace("-", ""): text for text in known if len(text) <= 128}
    found = difflib.get_close_matches(name.lower().replace("_", "").replace("-", ""), folded, n=1, cutoff=0.65)
    return folded[found[0]] if found else None
