"""An endpoint as its clients see it: greeted and asked for its lists in each era."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from portico import __version__
from portico.config.patterns import Patterns
from portico.gateway.protocol.aggregate.lists import METHODS, Greeting, Lists, fetch
from portico.gateway.routing.include import Include
from portico.net.egress import Egress
from portico.net.errors import NetError
from portico.net.http_client import HttpClient
from portico.upstream.mcp.eras import BOTH
from portico.upstream.mcp.handshake import OWN_HELLO, VERSION
from portico.upstream.mcp.upstream import Conversation, Era, McpSpec, McpUpstream
from portico.upstream.pool import Pool
from portico.wire.errors import RpcError

PATIENCE = 30.0
_ALL = Patterns(("*",), ())
_META = {
    "io.modelcontextprotocol/protocolVersion": VERSION,
    "io.modelcontextprotocol/clientInfo": {"name": "portico", "version": __version__},
    "io.modelcontextprotocol/clientCapabilities": {},
}


@dataclass(frozen=True, slots=True)
class Offer:
    """What is offered in one era. `failure` says why it is not known, or that the era is not spoken."""

    spoken: bool = False
    failure: str = ""
    version: str = ""
    greeting: Greeting = field(default_factory=Greeting)
    entries: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    cut: bool = False


async def look(url: str, headers: Sequence[tuple[str, str]]) -> dict[Era, Offer]:
    """By era, the modern one first. Raises a NetError for a URL that can never be asked."""
    sse = url.partition("?")[0].endswith("/sse")
    spec = McpSpec("", "", url, "sse" if sse else "http", url, tuple(headers), timeout=PATIENCE)
    client = HttpClient(Egress.parse("any"))
    pool = Pool(client)
    try:
        upstream = pool.lease([spec])[spec]
        return {era: await _offer(upstream, spec, era) for era in BOTH}
    finally:
        await pool.close()
        await client.aclose()


async def _offer(upstream: McpUpstream, spec: McpSpec, era: Era) -> Offer:
    try:
        async with asyncio.timeout(PATIENCE):
            if not await upstream.speaks(era):
                return Offer(failure="it is not spoken here")
            conversation = await (upstream.modern() if era == "modern" else upstream.legacy(OWN_HELLO))
            return await _asked(conversation, spec, era)
    except (NetError, RpcError) as error:
        return Offer(failure=error.message)
    except TimeoutError:
        return Offer(failure=f"there was no whole answer within {PATIENCE:g} s")


async def _asked(conversation: Conversation, spec: McpSpec, era: Era) -> Offer:
    version = VERSION if era == "modern" else _said(conversation.greeting).protocol_version
    try:
        lists = await fetch(conversation.greeting, _asking(conversation, era), Include(spec, _ALL, _ALL, _ALL))
    except (NetError, RpcError) as error:
        return Offer(True, error.message, version)
    finally:
        conversation.release()
    return Offer(True, "", version, lists.greeting, _entries(lists), lists.cut)


def _asking(conversation: Conversation, era: Era) -> Any:
    async def ask(method: str, cursor: str | None) -> bytes:
        params: dict[str, Any] = {"_meta": _META} if era == "modern" else {}
        if cursor is not None:
            params["cursor"] = cursor
        outcome = await conversation.request(
            method,
            msgspec.json.encode(params),
            identifier=f"portico-{method}",
            deadline=asyncio.get_running_loop().time() + PATIENCE,
        )
        body = outcome.member.partition(b":")[2]
        if outcome.is_error:
            raise RpcError(-32603, f"{method} was answered with an error: {body[:300].decode('utf-8', 'replace')}")
        return body

    return ask


def _entries(lists: Lists) -> dict[str, list[dict[str, Any]]]:
    return {
        METHODS[method][1]: [msgspec.json.decode(entry) for entry in entries]
        for method, entries in lists.entries.items()
    }


class _Said(msgspec.Struct, rename="camel"):
    protocol_version: str = ""


def _said(greeting: bytes) -> _Said:
    try:
        return msgspec.json.decode(greeting, type=_Said)
    except msgspec.MsgspecError:
        return _Said()
