"""MCP servers of both eras that tell of everything they may: log messages, progress, changes, questions; and gateways
before them, one or two workers of the same endpoint.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from tests.fakes.gateway import LEGACY, Gateway, running
from tests.fakes.http_wire import Wire
from tests.fakes.mcp_http import Exchange, LegacyServer, legacy_server

from portico.gateway.session.session import LEVELS

DOCUMENT = """
version: 1
name: telling
routers: [{prefix: /told, server: telling}]
mcpServers:
  telling: {url: "http://127.0.0.1:PORT/mcp", protocol: ERA, timeout: 30s}
"""
NAMESPACE = "io.modelcontextprotocol/"
ABLE = {f"{NAMESPACE}clientCapabilities": {"elicitation": {}, "roots": {"listChanged": True}}}
FORM = {"message": "Who?", "requestedSchema": {"type": "object", "properties": {"name": {"type": "string"}}}}
ADA = {"action": "accept", "content": {"name": "Ada"}}
CAPABILITIES = {
    "tools": {"listChanged": True},
    "prompts": {"listChanged": True},
    "resources": {"subscribe": True, "listChanged": True},
    "logging": {},
}
CHANGED = "notifications/tools/list_changed"
UPDATED = "notifications/resources/updated"
A, B = "docs://a", "docs://b"


def event(method: str, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "method": method, "params": params}


def said(message: dict[str, Any]) -> Any:
    return json.loads(message["result"]["content"][0]["text"])


def text(value: Any) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": json.dumps(value)}]}


async def until(look: Any) -> None:
    async with asyncio.timeout(5):
        while not look():  # noqa: ASYNC110 - what is waited for tells nobody.
            await asyncio.sleep(0.005)


async def next_message(wire: Wire) -> dict[str, Any]:
    """The next event that is not there for its id alone."""
    while True:
        found = await wire.event()
        assert found is not None, "the stream ended"
        if found.data:
            return found.json


@contextlib.asynccontextmanager
async def gateways(folder: Path, port: int, era: str, workers: int) -> AsyncIterator[tuple[Gateway, Gateway]]:
    """Where a client begins, and where it comes back: the same worker, or another one."""
    documents, peers = folder / "documents", folder / "peers"
    documents.mkdir()
    peers.mkdir()
    written = {"telling.yaml": DOCUMENT.replace("PORT", str(port)).replace("ERA", era)}
    shared: dict[str, Any] = {"peers": peers, "key": b"k" * 32, "workers": workers}
    async with running(documents, written, **shared) as first:
        if workers == 1:
            yield first, first
            return
        async with running(documents, {}, rest=first.rest, **shared) as other:
            yield first, other


class Handshaking:
    """`log` logs at every level; `ask` tells of its progress, asks, tells again and answers with what it heard; `work`
    never ends. `silent` methods are `held` and not answered."""

    def __init__(self) -> None:
        self.waiting: dict[Any, Exchange] = {}
        self.silent: set[str] = set()
        self.held: list[Exchange] = []
        self.refused: set[str] = set()
        self.server: LegacyServer

    async def act(self, exchange: Exchange) -> bool:
        message = exchange.message
        method = message.get("method")
        if method == "initialize":
            self.server.made += 1
            session = f"session-{self.server.made}"
            self.server.sessions.add(session)
            greeting = {"protocolVersion": LEGACY, "capabilities": CAPABILITIES, "serverInfo": {"name": "t"}}
            exchange.result(greeting, Mcp_Session_Id=session)
        elif method in self.silent:
            self.held.append(exchange)
        elif method == "resources/subscribe" and message["params"]["uri"] in self.refused:
            error = {"code": -32602, "message": "no"}
            exchange.reply(200, {"jsonrpc": "2.0", "id": message["id"], "error": error})
        elif method == "tools/call":
            exchange.begin_events()
            getattr(self, exchange.tool)(exchange)
        elif method is None and message.get("id") in self.waiting:
            exchange.reply(202)
            call = self.waiting.pop(message["id"])
            self.step(call, 2)
            if call.message["params"]["arguments"].get("stay"):
                return True
            self.end(call, message.get("result", message.get("error")))
        else:
            return False
        return True

    def log(self, call: Exchange) -> None:
        for level in LEVELS:
            call.event(event("notifications/message", level=level, data=level))
        self.end(call, "logged")

    def ask(self, call: Exchange) -> None:
        self.step(call, 1)
        identifier = f"q{len(self.server.seen)}"
        self.waiting[identifier] = call
        call.event({"jsonrpc": "2.0", "id": identifier, "method": "elicitation/create", "params": FORM})

    def work(self, call: Exchange) -> None:
        self.step(call, 1)

    def step(self, call: Exchange, progress: int) -> None:
        token = call.message["params"].get("_meta", {}).get("progressToken")
        if token is not None:
            call.event(event("notifications/progress", progressToken=token, progress=progress))

    def end(self, call: Exchange, answer: Any) -> None:
        call.event({"jsonrpc": "2.0", "id": call.message["id"], "result": text(answer)})
        call.end_events()

    def tell(self, method: str, **params: Any) -> None:
        """On the stream of every session."""
        for stream in self.server.streams:
            stream.event(event(method, **params))

    def asked(self, method: str, key: str) -> list[Any]:
        return [one.message["params"][key] for one in self.server.seen if one.message.get("method") == method]


@contextlib.asynccontextmanager
async def handshaking(folder: Path, workers: int = 1) -> AsyncIterator[tuple[Gateway, Gateway, Handshaking]]:
    telling = Handshaking()
    async with (
        legacy_server(telling.act) as telling.server,
        gateways(folder, telling.server.port, "legacy", workers) as (first, other),
    ):
        yield first, other, telling


class Stateless:
    """`log` logs one message at the level that it is asked for; `ask` wants to know who it is; `work` tells of its
    progress and never ends. Subscriptions stay open."""

    def __init__(self) -> None:
        self.subscriptions: list[Exchange] = []
        self.server: LegacyServer

    async def act(self, exchange: Exchange) -> bool:
        message = exchange.message
        method = message.get("method")
        if method == "server/discover":
            known = {"supportedVersions": ["2026-07-28"], "capabilities": CAPABILITIES, "resultType": "complete"}
            exchange.result({**known, "ttlMs": 0, "cacheScope": "private"})
        elif method == "subscriptions/listen":
            exchange.begin_events()
            wanted = message["params"]["notifications"]
            self.subscriptions.append(exchange)
            self._say(exchange, "notifications/subscriptions/acknowledged", notifications=wanted)
        elif method == "tools/call":
            self._call(exchange)
        else:
            return False
        return True

    def _call(self, exchange: Exchange) -> None:
        params = exchange.message["params"]
        meta, responses = params["_meta"], params.get("inputResponses")
        if exchange.tool == "ask" and responses is None:
            question = {"method": "elicitation/create", "params": FORM}
            exchange.result({"resultType": "input_required", "inputRequests": {"who": question}, "requestState": "s"})
            return
        exchange.begin_events()
        if exchange.tool == "log":
            exchange.event(event("notifications/message", level=meta[f"{NAMESPACE}logLevel"], data="x"))
        if "progressToken" in meta:
            exchange.event(event("notifications/progress", progressToken=meta["progressToken"], progress=1))
        if exchange.tool != "work":
            result = {"resultType": "complete", **text(responses)}
            exchange.event({"jsonrpc": "2.0", "id": exchange.message["id"], "result": result})
            exchange.end_events()

    def _say(self, subscription: Exchange, method: str, **params: Any) -> None:
        meta = {f"{NAMESPACE}subscriptionId": subscription.message["id"]}
        subscription.event(event(method, **params, _meta=meta))

    def open(self) -> list[Exchange]:
        return [one for one in self.subscriptions if one not in self.server.left]

    def tell(self, method: str, **params: Any) -> None:
        for one in self.open():
            self._say(one, method, **params)

    def calls(self) -> list[Exchange]:
        return [one for one in self.server.seen if one.message.get("method") == "tools/call"]

    def wanted(self) -> list[list[str]]:
        """The resources that each open subscription names."""
        return [one.message["params"]["notifications"].get("resourceSubscriptions", []) for one in self.open()]


@contextlib.asynccontextmanager
async def stateless(folder: Path, workers: int = 1) -> AsyncIterator[tuple[Gateway, Gateway, Stateless]]:
    telling = Stateless()
    async with (
        legacy_server(telling.act) as telling.server,
        gateways(folder, telling.server.port, "modern", workers) as (first, other),
    ):
        yield first, other, telling
