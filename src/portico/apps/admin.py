"""The admin listener of a running gateway, asked by a command."""

from __future__ import annotations

import asyncio

from portico.net.egress import Egress
from portico.net.errors import NetError
from portico.net.http_client import HttpClient
from portico.net.origin import Origin

PATIENCE = 60.0


class NoAnswer(Exception):
    """The admin listener was not reached, or refused; the message is for people."""


async def ask(admin: str, token: str, method: str, target: str) -> bytes:
    """The body of a good answer; NoAnswer for everything else. `admin` is HOST:PORT."""
    host, _, port = admin.rpartition(":")
    client = HttpClient(Egress.parse("any"))
    head = f"{method} {target} HTTP/1.1\r\nHost: {admin}\r\nContent-Length: 0\r\n"
    if token:
        head += f"Authorization: Bearer {token}\r\n"
    try:
        origin = Origin("http", host.strip("[]"), int(port))
        deadline = asyncio.get_running_loop().time() + PATIENCE
        answer = await client.send(
            origin,
            (head + "\r\n").encode("latin-1"),
            deadline=deadline,
            first_byte=PATIENCE,
            idempotent=method == "GET",
        )
    except (NetError, ValueError) as error:
        raise NoAnswer(f"The gateway's admin listener at {admin} did not answer: {error}") from error
    finally:
        await client.aclose()
    if answer.status != 200:
        raise NoAnswer(answer.body.decode("utf-8", "replace").strip())
    return answer.body
