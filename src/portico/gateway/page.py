"""The page that a person sees who opens an endpoint's address in a browser: what this is, and how to connect."""

from __future__ import annotations

import json
from html import escape

from portico.gateway.exchange import Reply
from portico.gateway.routing.endpoint import Endpoint

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:44rem;margin:3rem auto;padding:0 1rem;"
    "background:#FAF8F4;color:#1F1D1A}code,pre{font:14px/1.5 ui-monospace,monospace;background:#F1EEE7;"
    "border:1px solid #DCD7CC;border-radius:6px}code{padding:.1rem .3rem}pre{padding:.8rem;overflow:auto}"
    "h1{font-size:26px}h2{font-size:16px;margin-top:2rem}.muted{color:#5F5A50}"
    "@media(prefers-color-scheme:dark){body{background:#141618;color:#ECE9E3}"
    "code,pre{background:#0F1113;border-color:#30353A}.muted{color:#A5A9AD}}"
)
_SECURITY = (
    (b"content-type", b"text/html; charset=utf-8"),
    (b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'"),
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
)


def endpoint_page(endpoint: Endpoint, base_url: str) -> Reply:
    """`base_url` is where people reach the gateway, without a trailing slash."""
    url = f"{base_url}{endpoint.prefix.rstrip('/')}"
    name = endpoint.server_info.get("name", "portico")
    config = json.dumps({"mcpServers": {name: {"type": "http", "url": f"{url}/mcp"}}}, indent=2)
    guard = endpoint.guard
    # What an endpoint offers is nobody's business who has not shown that they may use it.
    offers = _offers(endpoint) if guard is None else ""
    header = ' --header "Authorization: Bearer $PORTICO_KEY"' if guard is not None else ""
    needed = f"<h2>Who may</h2>\n<p>{escape(guard.how)}</p>\n" if guard is not None else ""
    body = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{escape(endpoint.title)} · MCP endpoint</title><style>{_STYLE}</style></head><body>
<h1>{escape(endpoint.title)}</h1>
<p>This is an MCP endpoint, served by Portico. It is meant for AI clients rather than for browsers.</p>
<h2>Connect</h2>
<p>Streamable HTTP: <code>{escape(url)}/mcp</code><br>SSE, for older clients: <code>{escape(url)}/sse</code></p>
<pre>claude mcp add --transport http {escape(name)} {escape(url)}/mcp{header}</pre>
<p>For clients with a file of servers:</p>
<pre>{escape(config)}</pre>
{needed}{offers}</body></html>
"""
    return Reply(200, body.encode(), _SECURITY)


def _offers(endpoint: Endpoint) -> str:
    tools = sorted(endpoint.catalog.tools)
    shown = ", ".join(f"<code>{escape(tool)}</code>" for tool in tools[:40]) or "none"
    more = f" and {len(tools) - 40} more" if len(tools) > 40 else ""
    return f"""<h2>Offers</h2>
<p>Tools: {shown}{more}.</p>
<p class="muted">{len(endpoint.catalog.prompts)} prompts ·
{len(endpoint.catalog.resources)} resources · {len(endpoint.catalog.templates)} resource templates</p>
"""
