"""`portico inspect URL|PREFIX`: asks the endpoint as its clients do, and the gateway what they cannot see."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

import msgspec

from portico.apps import admin as listener
from portico.apps.inspect.client import look
from portico.apps.inspect.report import report
from portico.apps.inspect.words import words
from portico.net.errors import NetError


class Refused(Exception):
    """There is nothing to report; the message is for people."""


def inspect(target: str, headers: Sequence[str], admin: str, token: str, as_json: bool) -> tuple[str, int]:
    """The report, and the exit code: 1 where no era is spoken or a server behind the endpoint is away."""
    try:
        found = asyncio.run(_found(target, [_header(text) for text in headers], admin, token))
    except (Refused, NetError, listener.NoAnswer) as error:
        return str(error), 2
    whole = any(leg["spoken"] and not leg["failure"] for leg in found["legs"])
    away = any(server["state"] in ("down", "missing") for server in found["servers"])
    text = msgspec.json.format(msgspec.json.encode(found)).decode() if as_json else words(found)
    return text, 0 if whole and not away else 1


async def _found(target: str, headers: list[tuple[str, str]], admin: str, token: str) -> dict[str, Any]:
    if "://" in target:
        return report(target, await look(target, headers), ())
    prefix = "/" + target.strip("/") if target.strip("/") else ""
    url = (await _inside(prefix, admin, token))[0]["url"]
    offers = await look(url, headers)
    # Only now do its workers know what was listed for these clients.
    return report(url, offers, await _inside(prefix, admin, token))


async def _inside(prefix: str, admin: str, token: str) -> list[dict[str, Any]]:
    target = f"/inspect?{quote(prefix)}"
    workers: list[dict[str, Any]] = msgspec.json.decode(await listener.ask(admin, token, "GET", target))
    found = [worker for worker in workers if worker["found"]]
    if not found:
        known = workers[0]["endpoints"]
        shown = ", ".join(known[:20]) + (f" and {len(known) - 20} more" if len(known) > 20 else "")
        raise Refused(f"The gateway at {admin} has no endpoint {prefix or '/'}. It serves {shown or 'none'}.")
    return found


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip() or any(sign in text for sign in "\r\n"):
        raise Refused(f"--header {name!r} is no header: write it as 'Name: value'.")
    return name.strip(), value.strip()
