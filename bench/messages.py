"""The requests of the scenarios: raw HTTP with a mark for the number that is new in every one."""

from __future__ import annotations

import json
from typing import Any

MARK = "@@@@@@@@"
MODERN = "2026-07-28"
LEGACY = "2025-11-25"
_META = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": {"name": "bench", "version": "1"},
}
ACCEPT = {"Accept": "application/json, text/event-stream"}


def http(method: str, path: str, headers: dict[str, str], body: str = "") -> bytes:
    """One request. The mark is as long as a number, so that the length of the body is already right."""
    if method == "POST":
        headers = {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", *(f"{name}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


def message(method: str, params: dict[str, Any]) -> str:
    """A JSON-RPC request whose id is the number."""
    text = json.dumps({"jsonrpc": "2.0", "id": MARK, "method": method, "params": params}, separators=(",", ":"))
    return text.replace(f'"id":"{MARK}"', f'"id":{MARK}', 1)


def modern(path: str, method: str, params: dict[str, Any]) -> bytes:
    """A request of the stateless revision, with the headers that repeat what the body says."""
    headers = {**ACCEPT, "MCP-Protocol-Version": MODERN, "Mcp-Method": method}
    if "name" in params:
        headers["Mcp-Name"] = params["name"]
    return http("POST", path, headers, message(method, {"_meta": _META, **params}))


def legacy(path: str, method: str, params: dict[str, Any], session: str | None) -> bytes:
    """A request of the newest handshake revision, in a session or, where the server needs none, without."""
    headers = {**ACCEPT, "MCP-Protocol-Version": LEGACY}
    if session is not None:
        headers["Mcp-Session-Id"] = session
    return http("POST", path, headers, message(method, params))


def initialize(path: str) -> bytes:
    params = {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": {"name": "bench", "version": "1"}}
    return http("POST", path, ACCEPT, message("initialize", params))


def call(tool: str, **arguments: Any) -> dict[str, Any]:
    return {"name": tool, "arguments": arguments}
