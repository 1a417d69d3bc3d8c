"""`portico reload`: asks the admin listener and puts what it says into words."""

from __future__ import annotations

import asyncio

import msgspec

from portico.net.egress import Egress
from portico.net.errors import NetError
from portico.net.http_client import HttpClient
from portico.net.origin import Origin

PATIENCE = 60.0


def ask(admin: str, token: str) -> tuple[str, int]:
    """What the gateway reports, and the exit code."""
    return asyncio.run(_ask(admin, token))


async def _ask(admin: str, token: str) -> tuple[str, int]:
    host, _, port = admin.rpartition(":")
    client = HttpClient(Egress.parse("any"))
    head = f"POST /reload HTTP/1.1\r\nHost: {admin}\r\nContent-Length: 0\r\n"
    if token:
        head += f"Authorization: Bearer {token}\r\n"
    try:
        origin = Origin("http", host.strip("[]"), int(port))
        deadline = asyncio.get_running_loop().time() + PATIENCE
        answer = await client.send(
            origin, (head + "\r\n").encode("latin-1"), deadline=deadline, first_byte=PATIENCE, idempotent=False
        )
    except (NetError, ValueError) as error:
        return f"The gateway's admin listener at {admin} did not answer: {error}", 2
    finally:
        await client.aclose()
    if answer.status != 200:
        return answer.body.decode("utf-8", "replace").strip(), 2
    return _words(msgspec.json.decode(answer.body))


def _words(report: dict[str, object]) -> tuple[str, int]:
    problems, endpoints = report["problems"], report["endpoints"]
    assert isinstance(problems, list)
    assert isinstance(endpoints, list)
    lines = [str(problem) for problem in problems]
    workers = f" by {report['workers']} workers" if report.get("workers") != 1 else ""
    lines.append(f"Serving {len(endpoints)} endpoints{workers}: {', '.join(endpoints) or 'none'}.")
    failed = bool(report["failed"]) or any(": error: " in line for line in lines[:-1])
    return "\n".join(lines), 1 if failed else 0
