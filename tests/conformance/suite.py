"""The official conformance suite as one call: `run_suite(url, "2026-07-28", folder)` says what passed or failed."""

import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.clients.programs import MODULES, NODE

SUITE = MODULES / "@modelcontextprotocol" / "conformance" / "dist" / "index.js"
WAIT = 150

_SCENARIO = re.compile(r"^([✓✗]) (\S+): \d+ passed, \d+ failed$", re.MULTILINE)
_UNSCORED = re.compile(r"^  [✓✗] (\S+) \(([a-z-]+)\)$", re.MULTILINE)


@dataclass(frozen=True)
class Outcome:
    """Names of scenarios. Pending ones count as others do, though they are not scored; extensions are left out."""

    scored: frozenset[str]
    passed: frozenset[str]
    failed: frozenset[str]
    reasons: dict[str, str]


def run_suite(url: str, revision: str, folder: Path) -> Outcome:
    command = [str(NODE), str(SUITE), "server", "--url", url, "--requirements", revision, "-o", str(folder)]
    # Its status is that of the scored scenarios, of which some are excused; what counts is the summary.
    done = subprocess.run(command, capture_output=True, text=True, timeout=WAIT, check=False, cwd=folder)
    _, found, summary = done.stdout.partition("=== SUMMARY ===")
    assert found, f"the suite gave no summary, status {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    return _outcome(summary, folder)


def _outcome(summary: str, folder: Path) -> Outcome:
    marks = {name: mark for mark, name in _SCENARIO.findall(summary)}
    unscored = dict(_UNSCORED.findall(summary))
    extensions = {name for name, why in unscored.items() if why == "extension"}
    failed = frozenset(name for name, mark in marks.items() if mark == "✗") - extensions
    return Outcome(
        scored=frozenset(marks) - unscored.keys(),
        passed=frozenset(marks) - failed - extensions,
        failed=failed,
        reasons={name: _reason(folder, name) for name in failed},
    )


def _reason(folder: Path, scenario: str) -> str:
    """What the suite wrote down about a scenario's failed checks."""
    named = re.compile(rf"server-{re.escape(scenario)}-\d{{4}}-.*")
    checks = [
        check
        for file in folder.glob("server-*/checks.json")
        if named.fullmatch(file.parent.name)
        for check in json.loads(file.read_text())
    ]
    return "; ".join(f"{c['id']}: {c.get('errorMessage')}" for c in checks if c["status"] == "FAILURE")
