"""Where calls go: whether the policy lets them, and whether the names that documents call are known."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from portico.apps.doctor.finding import Finding
from portico.config.check import check
from portico.config.document import Document
from portico.net.egress import Egress, system_lookup
from portico.net.errors import NetError, Rejected, Unreachable
from portico.settings import Settings
from portico.store.records import Contents

PATIENCE = 5.0
AT_ONCE = 20
MOST_TOLD = 20
_VALUE = re.compile(r"\{\{-?\s*values\.([A-Za-z_][A-Za-z0-9_]*)\s*-?\}\}")


@dataclass(frozen=True, slots=True)
class Target:
    """`proxied` hosts are resolved by the proxy, and not here."""

    host: str
    port: int
    proxied: bool = False


async def outbound(settings: Settings, contents: Contents | None) -> list[Finding]:
    policy = settings.egress_policy
    found = [Finding("egress", f"calls may go to {policy}" + ("" if settings.egress else ", as the place suggests"))]
    if contents is None:
        return found
    wanted, broken = await asyncio.to_thread(_targets, contents)
    if broken:
        says = f"{len(broken)} of {len(contents.documents)} have errors, such as {broken[0]}"
        found.append(Finding("documents", says, "portico check says which, and how to mend them"))
    elif contents.documents:
        found.append(Finding("documents", f"{len(contents.documents)} are without error, each by itself"))
    return [*found, *await _reached(Egress.parse(policy), wanted)]


async def _reached(egress: Egress, wanted: dict[Target, str]) -> list[Finding]:
    free = asyncio.Semaphore(AT_ONCE)

    async def judge(target: Target, key: str) -> Finding | None:
        async with free:
            return await _judged(egress, target, key)

    found = await asyncio.gather(*(judge(target, key) for target, key in wanted.items()))
    wrong = [each for each in found if each is not None]
    if not wrong:
        return (
            [Finding("hosts", f"all {len(wanted)} that documents call are known, and the policy allows them")]
            if wanted
            else []
        )
    more = [Finding("hosts", f"{len(wrong) - MOST_TOLD} more", "As above")] if len(wrong) > MOST_TOLD else []
    return [*wrong[:MOST_TOLD], *more]


async def _judged(egress: Egress, target: Target, key: str) -> Finding | None:
    try:
        if target.proxied:
            egress.check_unresolved(target.host)
        else:
            async with asyncio.timeout(PATIENCE):
                await egress.resolve(target.host, target.port, system_lookup)
    except TimeoutError:
        error: NetError = Unreachable(f"{target.host} could not be resolved within {PATIENCE:g} s")
    except NetError as refused:
        error = refused
    else:
        return None
    mend = f"Allow it with --egress, or correct {key}" if isinstance(error, Rejected) else f"Correct {key}, or the DNS"
    return Finding("hosts", str(error), mend)


def _targets(contents: Contents) -> tuple[dict[Target, str], list[str]]:
    """What the documents call, with the first document that does; and the keys of those with errors."""
    found: dict[Target, str] = {}
    broken: list[str] = []
    for text in contents.documents:
        document = check(text.text, text.key).document if text.text is not None else None
        if document is None:
            broken.append(text.key)
            continue
        for url, proxy in _urls(document):
            for target in _of(url, proxy, document.values):
                found.setdefault(target, text.key)
    return found, broken


def _urls(document: Document) -> Iterator[tuple[str, str | None]]:
    """Each URL that is called, with its proxy."""
    for tool in document.tools:
        yield tool.request.url, tool.request.proxy
    for server in document.mcp_servers.values():
        if server.url is not None:
            yield server.url, server.proxy
    for router in document.routers:
        if router.auth.jwks is not None:
            yield router.auth.jwks, None


def _of(url: str, proxy: str | None, values: dict[str, Any]) -> Iterator[Target]:
    target = _target(url, values, proxied=proxy is not None)
    if target is not None:
        yield target
    if proxy is not None and (way := _target(proxy, values)) is not None:
        yield way


def _target(url: str, values: dict[str, Any], proxied: bool = False) -> Target | None:
    """None where only a call knows the host."""
    text = _VALUE.sub(lambda found: str(values.get(found[1], found[0])), url)
    parts = urlsplit(text)
    if "{" in parts.netloc or not parts.hostname:
        return None
    return Target(parts.hostname, parts.port or (443 if parts.scheme == "https" else 80), proxied)
