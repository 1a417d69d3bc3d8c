"""`portico reload`: asks the admin listener and puts what it says into words."""

from __future__ import annotations

import asyncio

import msgspec

from portico.apps import admin as listener


def ask(admin: str, token: str) -> tuple[str, int]:
    """What the gateway reports, and the exit code."""
    try:
        return _words(msgspec.json.decode(asyncio.run(listener.ask(admin, token, "POST", "/reload"))))
    except listener.NoAnswer as error:
        return str(error), 2


def _words(report: dict[str, object]) -> tuple[str, int]:
    problems, endpoints = report["problems"], report["endpoints"]
    assert isinstance(problems, list)
    assert isinstance(endpoints, list)
    lines = [str(problem) for problem in problems]
    workers = f" by {report['workers']} workers" if report.get("workers") != 1 else ""
    lines.append(f"Serving {len(endpoints)} endpoints{workers}: {', '.join(endpoints) or 'none'}.")
    failed = bool(report["failed"]) or any(": error: " in line for line in lines[:-1])
    return "\n".join(lines), 1 if failed else 0
