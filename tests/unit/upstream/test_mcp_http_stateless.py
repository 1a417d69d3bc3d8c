"""How an upstream over streamable HTTP is asked about the modern era."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.fakes.mcp_http import Exchange, legacy_server

from portico.net.egress import Egress
from portico.net.http_client import HttpClient
from portico.upstream.mcp.upstream import McpSpec
from portico.upstream.pool import Pool

pytestmark = pytest.mark.anyio

MODERN = "2026-07-28"


@pytest.fixture
async def pool() -> AsyncIterator[Pool]:
    client = HttpClient(Egress.parse("any"))
    pool = Pool(client, environment={})
    yield pool
    await asyncio.wait_for(pool.close(), 20)
    await client.aclose()


@pytest.mark.parametrize(
    ("supported", "eras", "asked"), [([MODERN], {"modern"}, 2), (["2099-01-01"], set(), 1), ("nonsense", set(), 1)]
)
async def test_a_server_that_refuses_the_revision_is_asked_again_only_where_it_names_it(
    pool: Pool, supported: object, eras: set[str], asked: int
) -> None:
    identifiers: list[object] = []

    async def hesitate(exchange: Exchange) -> bool:
        message = exchange.message
        error = {"code": -32022, "message": "Unsupported protocol version", "data": {"supported": supported}}
        if message.get("method") == "server/discover":
            identifiers.append(message["id"])
        if message.get("method") == "server/discover" and len(identifiers) > 1:
            exchange.result({"resultType": "complete", "supportedVersions": [MODERN], "capabilities": {}})
        else:
            exchange.reply(400, {"jsonrpc": "2.0", "id": message["id"], "error": error})
        return True

    async with legacy_server(hesitate) as server:
        spec = McpSpec(
            kind="http", url=f"http://127.0.0.1:{server.port}/mcp", tenant="default", document="d", name="remote"
        )
        assert await pool.lease([spec])[spec].eras() == eras
        assert len(identifiers) == len(set(identifiers)) == asked
