"""A server of either era that answers as a test tells it, included under a prefix, and a client of either era."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.fakes.gateway import Gateway, running
from tests.fakes.http_wire import Reply, Wire
from tests.fakes.mcp_http import Exchange, LegacyServer, legacy_server

LEGACY, MODERN = "2025-11-25", "2026-07-28"
CAPABILITIES = {
    "tools": {"listChanged": True},
    "prompts": {"listChanged": True},
    "resources": {"listChanged": True, "subscribe": True},
    "completions": {},
}
LONG = "l" * 80
FOLDED = "p_" + "l" * 55 + "_25c79a"
LISTS: dict[str, dict[str, Any]] = {
    "tools/list": {
        "tools": [
            {
                "name": "look",
                "inputSchema": {"type": "object", "x-uri": "docs://kept"},
                "_meta": {"ui": {"resourceUri": "ui://panel"}, "ui/resourceUri": "ui://panel", "uri": "docs://kept"},
            },
            {"name": "a.b", "inputSchema": {"type": "object"}},
            {"name": LONG, "inputSchema": {"type": "object"}},
        ]
    },
    "prompts/list": {"prompts": [{"name": "grüße", "arguments": [{"name": "who"}]}]},
    "resources/list": {
        "resources": [
            {"uri": "docs://guide", "name": "docs://kept"},
            {"uri": "urn:isbn:1", "name": "opaque"},
            {"uri": "notes/today", "name": "relative"},
            {"uri": "ui://panel", "name": "panel", "mimeType": "text/html;profile=mcp-app"},
        ]
    },
    "resources/templates/list": {"resourceTemplates": [{"uriTemplate": "docs://user/{id}", "name": "user"}]},
}


class Script:
    """A server of one era that answers with what the row says."""

    def __init__(self, era: str) -> None:
        self.era = era
        self.lists = dict(LISTS)
        self.said: dict[str, dict[str, Any]] = {}
        self.error: dict[str, Any] | None = None
        self.ahead: list[dict[str, Any]] = []
        """Notifications that come before the answer to a call."""
        self.listening: list[Exchange] = []
        self.server: LegacyServer | None = None

    async def act(self, exchange: Exchange) -> bool | None:
        method = exchange.message.get("method")
        if method == "initialize" and self.era == "legacy":
            assert self.server is not None
            self.server.made += 1
            session = f"session-{self.server.made}"
            self.server.sessions.add(session)
            exchange.result(self._greeting({"protocolVersion": LEGACY}), Mcp_Session_Id=session)
        elif method == "server/discover" and self.era == "modern":
            hints = {"supportedVersions": [MODERN], "ttlMs": 0, "cacheScope": "public", "resultType": "complete"}
            exchange.result(self._greeting(hints))
        elif method == "subscriptions/listen":
            exchange.begin_events()
            wanted, meta = exchange.message["params"]["notifications"], self._subscription(exchange)
            acknowledged = {"method": "notifications/subscriptions/acknowledged"}
            exchange.event({"jsonrpc": "2.0", **acknowledged, "params": {"notifications": wanted, **meta}})
            self.listening.append(exchange)
        elif method in LISTS:
            exchange.result(self.lists[method] | self._ending())
        elif method in self.said:
            self._answer(exchange, self.said[method])
        elif method in ("resources/subscribe", "resources/unsubscribe"):
            exchange.result({})
        else:
            return False
        return True

    def tell(self, method: str, params: dict[str, Any]) -> None:
        """To everybody who listens."""
        assert self.server is not None
        for stream in self.listening if self.era == "modern" else self.server.streams:
            meta = self._subscription(stream) if self.era == "modern" else {}
            stream.event({"jsonrpc": "2.0", "method": method, "params": params | meta})

    def _answer(self, exchange: Exchange, said: dict[str, Any]) -> None:
        if self.error is not None:
            exchange.reply(200, {"jsonrpc": "2.0", "id": exchange.message["id"], "error": self.error})
        elif not self.ahead:
            exchange.result(said | self._ending())
        else:
            exchange.begin_events()
            for message in self.ahead:
                exchange.event({"jsonrpc": "2.0", **message})
            exchange.event({"jsonrpc": "2.0", "id": exchange.message["id"], "result": said | self._ending()})
            exchange.end_events()

    def _greeting(self, more: dict[str, Any]) -> dict[str, Any]:
        return {"capabilities": CAPABILITIES, "serverInfo": {"name": "scripted", "version": "1"}} | more

    def _ending(self) -> dict[str, Any]:
        return {"resultType": "complete"} if self.era == "modern" else {}

    @staticmethod
    def _subscription(exchange: Exchange) -> dict[str, Any]:
        return {"_meta": {"io.modelcontextprotocol/subscriptionId": exchange.message["id"]}}


class Asking:
    """A client of one era, and the server that answers it."""

    def __init__(self, gateway: Gateway, script: Script, era: str) -> None:
        self.gateway = gateway
        self.script = script
        self.era = era
        self.client: Any = None

    async def ask(
        self, method: str, params: dict[str, Any] | None = None, headers: dict[str, str | None] | None = None
    ) -> Reply:
        if self.era == "modern":
            return await self.gateway.modern(method, params or {}, path="/all", headers=headers)
        return await self.client.request(method, params, headers=headers)

    async def listen(self, *uris: str) -> Wire:
        """A stream that tells of the lists and of these resources, once their server knows."""
        if self.era == "modern":
            wanted = {"toolsListChanged": True, "resourceSubscriptions": list(uris)}
            stream = await self.gateway.modern_stream("subscriptions/listen", {"notifications": wanted}, path="/all")
            await told(stream, "notifications/subscriptions/acknowledged")
            return stream
        stream = await self.client.get_stream()
        for uri in uris:
            assert (await self.ask("resources/subscribe", {"uri": uri})).status == 200
        return stream

    def at_server(self, method: str) -> Exchange:
        assert self.script.server is not None
        return next(one for one in reversed(self.script.server.seen) if one.message.get("method") == method)


def document(script: Script, include: dict[str, Any], server: dict[str, Any], more: dict[str, Any]) -> str:
    assert script.server is not None
    url = f"http://127.0.0.1:{script.server.port}/mcp"
    return json.dumps(
        {
            "version": 1,
            "name": "all",
            "routers": [{"prefix": "/all", "server": "all"}],
            "servers": [{"name": "all", "include": [{"mcpServer": "one", "prefix": "p_"} | include], **more}],
            "mcpServers": {"one": {"url": url, "protocol": script.era} | server},
        }
    )


async def told(stream: Wire, method: str) -> dict[str, Any]:
    """The params of the first such notification on a stream."""
    async with asyncio.timeout(15):
        while (event := await stream.event()) is not None:
            if event.data and event.json.get("method") == method:
                return event.json.get("params", {})
    raise AssertionError(f"the stream ended before {method}")


@asynccontextmanager
async def asking(
    folder: Path,
    server_era: str,
    client_era: str,
    *,
    include: dict[str, Any] | None = None,
    server: dict[str, Any] | None = None,
    **more: Any,
) -> AsyncIterator[Asking]:
    """`include`, `server` and `more` are what the document says beside the least: in the include, of the MCP server,
    and in the server that includes it."""
    script = Script(server_era)
    async with legacy_server(script.act) as fake:
        script.server = fake
        text = document(script, include or {}, server or {}, more)
        async with running(folder, {"all.json": text}) as gateway:
            found = Asking(gateway, script, client_era)
            if client_era == "legacy":
                found.client = await gateway.open(path="/all")
            yield found
