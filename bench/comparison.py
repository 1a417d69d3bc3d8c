"""FastMCP as a gateway of the same service, by an OpenAPI document: python -m bench.comparison PORT UPSTREAM."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import httpx2
from fastmcp import FastMCP


def openapi() -> dict[str, Any]:
    parameters = [
        {"name": "id", "in": "query", "required": True, "schema": {"type": "string", "minLength": 1, "maxLength": 64}},
        {"name": "fields", "in": "query", "schema": {"type": "string", "enum": ["few", "all"], "default": "all"}},
        {"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": 100}},
    ]
    answers = {"200": {"description": "The item", "content": {"application/json": {"schema": {"type": "object"}}}}}
    operation = {"operationId": "get_item", "summary": "Get an item", "parameters": parameters, "responses": answers}
    return {
        "openapi": "3.1.0",
        "info": {"title": "items", "version": "1"},
        "paths": {"/item": {"get": operation}},
    }


async def main(port: int, upstream: int) -> None:
    limits = httpx2.Limits(max_connections=64, max_keepalive_connections=64)
    client = httpx2.AsyncClient(base_url=f"http://127.0.0.1:{upstream}", limits=limits, trust_env=False)
    server = FastMCP.from_openapi(openapi(), client=client, name="items")
    quiet = {"log_level": "warning", "access_log": False}
    await server.run_http_async(
        show_banner=False, host="127.0.0.1", port=port, stateless_http=True, json_response=True, uvicorn_config=quiet
    )


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
