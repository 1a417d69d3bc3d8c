"""What is measured: the requests, the servers that they go to, and what a right answer is."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from bench.client import Client, Fits
from bench.load import Load
from bench.mcp_server import TOOLS
from bench.messages import LEGACY, MARK, MODERN, call, http, initialize, legacy, message, modern
from bench.servers import COMBINED, Server

MCP = "/items/mcp"
EXAMPLE_MCP = "/users/mcp"
REFERENCE = "nginx"
ITEM = call("get_item", id=f"item-{MARK}", fields="all", limit=20)
COMBINED_LIST = modern("/combined/mcp", "tools/list", {})
KEPT_LIST = "nginx-list"
NOTE = call("send_note", id=f"item-{MARK}", to=["Ada", "Grace"], text="Bring <tea> & biscuits.", urgent=True)


class Served(Protocol):
    """Where a server listens."""

    @property
    def port(self) -> int: ...


@dataclass(frozen=True)
class Scenario:
    """`template` makes the request once its server is up: a handshake may be needed. `beside` names what it is compared
    with."""

    name: str
    title: str
    server: str
    template: Callable[[Served], bytes]
    fits: Fits
    beside: str = REFERENCE

    def load(self, server: Server) -> Load:
        return Load(server, self.template(server), self.fits)


def modern_call(_: Served) -> bytes:
    return modern(MCP, "tools/call", ITEM)


def legacy_call(server: Served, path: str = MCP, params: dict[str, Any] = ITEM) -> bytes:
    client = Client(server.port)
    session = client.ask(initialize(path)).headers["mcp-session-id"]
    client.close()
    return legacy(path, "tools/call", params, session)


def _relayed(kind: str) -> tuple[Scenario, Scenario]:
    """An MCP server behind the gateway, called in either era."""
    path, title = f"/relay-{kind}/mcp", {"http": "streamable HTTP", "stdio": "stdio"}[kind]
    return (
        Scenario(
            f"relay-{kind}-modern",
            f"MCP relay over {title}, {MODERN}",
            "relay",
            lambda _: modern(path, "tools/call", ITEM),
            _returns_item,
        ),
        Scenario(
            f"relay-{kind}-legacy",
            f"MCP relay over {title}, {LEGACY}",
            "relay",
            lambda server: legacy_call(server, path),
            _returns_item,
        ),
    )


def _bridged() -> tuple[Scenario, Scenario]:
    """A client of each era, and an MCP server behind the gateway that speaks the other era only."""
    return (
        Scenario(
            "bridge-modern",
            f"MCP bridge, client of {MODERN}, server of {LEGACY}",
            "relay",
            lambda _: modern("/bridge-legacy/mcp", "tools/call", ITEM),
            _returns_item,
        ),
        Scenario(
            "bridge-legacy",
            f"MCP bridge, client of {LEGACY}, server of {MODERN}",
            "relay",
            lambda server: legacy_call(server, "/bridge-modern/mcp"),
            _returns_item,
        ),
    )


def _combined() -> tuple[Scenario, ...]:
    """Several MCP servers as one endpoint: a call of a tool of the last of them, and the list of all of their tools."""
    path, params = "/combined/mcp", call(f"part-{COMBINED - 1}_tool_1", id=f"item-{MARK}")
    return (
        Scenario(
            "combined-modern",
            f"{COMBINED} MCP servers combined, {MODERN}",
            "relay",
            lambda _: modern(path, "tools/call", params),
            _returns_item,
        ),
        Scenario(
            "combined-legacy",
            f"{COMBINED} MCP servers combined, {LEGACY}",
            "relay",
            lambda server: legacy_call(server, path, params),
            _returns_item,
        ),
        Scenario(
            KEPT_LIST,
            f"nginx, a file as long as the list of {COMBINED * TOOLS} tools",
            "nginx",
            lambda _: http("GET", f"/kept/{KEPT_LIST}", {}),
            lambda _, body: _counts(body) == COMBINED * TOOLS,
        ),
        Scenario(
            "combined-list",
            f"tools/list of {COMBINED} MCP servers combined, {COMBINED * TOOLS} tools",
            "relay",
            lambda _: COMBINED_LIST,
            lambda number, body: json.loads(body)["id"] == number and _counts(body) == COMBINED * TOOLS,
            KEPT_LIST,
        ),
    )


def _counts(body: bytes) -> int:
    return len(json.loads(body)["result"]["tools"])


def _passes(number: int, body: bytes) -> bool:
    return len(body) == 400 and json.loads(body)["id"] == f"item-{number}"


def _returns_item(number: int, body: bytes) -> bool:
    return _result(number, body, f"item-{number}") is not None


def _returns_note(number: int, body: bytes) -> bool:
    result = _result(number, body, f"item-{number}")
    return result is not None and result["structuredContent"]["summary"] == "Thing of many parts is active"


def _lists(number: int, body: bytes) -> bool:
    answer = json.loads(body)
    return answer["id"] == number and len(answer["result"]["tools"]) > 10


def _result(number: int, body: bytes, value: str) -> dict[str, Any] | None:
    """The result, where it answers this request with its own value and says that all went well."""
    answer = json.loads(body)
    result = answer.get("result", {})
    own = answer.get("id") == number and value in json.dumps(result) and not result.get("isError")
    return result if own else None


SCENARIOS = (
    Scenario(REFERENCE, "nginx, reverse proxy", "nginx", lambda _: http("GET", f"/item?id=item-{MARK}", {}), _passes),
    Scenario(
        "nginx-post",
        "nginx, POST of the same body",
        "nginx",
        lambda _: http("POST", f"/item?id=item-{MARK}", {}, message("tools/call", ITEM)),
        _passes,
    ),
    Scenario("rest-modern", "REST tool call, 2026-07-28", "gateway", modern_call, _returns_item),
    Scenario("rest-legacy", "REST tool call, 2025-11-25, session", "gateway", legacy_call, _returns_item),
    Scenario(
        "shaped",
        "REST tool call, text body, shaped answer",
        "gateway",
        lambda _: modern(MCP, "tools/call", NOTE),
        _returns_note,
    ),
    Scenario(
        "tools-list",
        "tools/list of the users example",
        "gateway",
        lambda _: modern(EXAMPLE_MCP, "tools/list", {}),
        _lists,
    ),
    *_relayed("http"),
    *_relayed("stdio"),
    *_bridged(),
    *_combined(),
    Scenario("two-workers", "REST tool call, 2026-07-28, two workers", "workers", modern_call, _returns_item),
    Scenario(
        "fastmcp",
        "FastMCP from_openapi, stateless",
        "fastmcp",
        lambda _: legacy("/mcp", "tools/call", ITEM, None),
        _returns_item,
    ),
)

# What a way costs against the plainer one beside it: the aims are ratios of CPU time.
COSTS = {
    "bridge-modern": "relay-http-modern",
    "bridge-legacy": "relay-http-legacy",
    "combined-modern": "relay-http-modern",
    "combined-legacy": "relay-http-legacy",
}
