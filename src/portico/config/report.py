"""What `portico check PATH…` prints: every problem of every document, one line each, and a summary."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from portico.config.build import MAX_BYTES
from portico.config.check import Checked, check, check_together
from portico.config.problem import Problem, Severity

SUFFIXES = (".yaml", ".yml", ".json")


@dataclass(frozen=True, slots=True)
class Report:
    """`exit_code` is 1 when an error stands or nothing could be read."""

    lines: tuple[str, ...]
    exit_code: int


def check_paths(paths: Iterable[Path], *, secrets: frozenset[str] | None = None) -> Report:
    """Judge files, and directories as a files store reads them: *.yaml, *.yml and *.json, no dot files."""
    checked: list[Checked] = []
    problems: list[Problem] = []
    for file in dict.fromkeys(_files(paths, problems)):
        text = _read(file, problems)
        if text is not None:
            checked.append(check(text, str(file), secrets=secrets))
    collisions = check_together(checked)
    for each in checked:
        problems += [*each.problems, *collisions.get(each.source, ())]
    counts = Counter(problem.severity for problem in problems)
    lines = [*(problem.render() for problem in problems), _summary(len(checked), counts)]
    return Report(tuple(lines), 1 if counts[Severity.ERROR] else 0)


def _files(paths: Iterable[Path], problems: list[Problem]) -> Iterator[Path]:
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        try:
            found = sorted(each for each in path.iterdir() if each.suffix in SUFFIXES and each.name[0] != ".")
        except OSError as error:
            problems.append(_unreadable(path, error.strerror))
            continue
        files = [each for each in found if each.is_file()]
        if not files:
            problems.append(_problem(path, "no-documents", "the directory holds no *.yaml, *.yml or *.json", "Add one"))
        yield from files


def _read(file: Path, problems: list[Problem]) -> bytes | None:
    try:
        with file.open("rb") as opened:
            # One byte more than is allowed, so that check can say that it is too large.
            return opened.read(MAX_BYTES + 1)
    except OSError as error:
        problems.append(_unreadable(file, error.strerror))
        return None


def _unreadable(path: Path, reason: str | None) -> Problem:
    return _problem(
        path, "unreadable", f"it cannot be read: {reason or 'unknown reason'}", "Check the path and its rights"
    )


def _problem(path: Path, code: str, message: str, mend: str) -> Problem:
    return Problem(code, Severity.ERROR, message, mend, "", 1, 1, str(path))


def _summary(documents: int, counts: Counter[Severity]) -> str:
    parts = [_count(documents, "document")]
    parts += [_count(counts[severity], severity.value) for severity in Severity if counts[severity]]
    return ", ".join(parts) + ("" if counts else ": all good")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
