"""What tests of one misbehaving server share. They run on both event loops, which differ in how processes are had."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from portico.net.egress import Egress
from portico.net.http_client import HttpClient
from portico.upstream.mcp.upstream import McpSpec
from portico.upstream.pool import Pool

FAKE = Path(__file__).parents[3] / "fakes" / "mcp_stdio.py"


@pytest.fixture(params=[True, False], ids=["uvloop", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": request.param}


@pytest.fixture
async def client(anyio_backend: object) -> AsyncIterator[HttpClient]:
    client = HttpClient(Egress.parse("any"))
    yield client
    await client.aclose()


@pytest.fixture
async def pool(client: HttpClient) -> AsyncIterator[Pool]:
    pool = Pool(client, environment={"PATH": os.defpath, "HOME": "/nonexistent"})
    yield pool
    await asyncio.wait_for(pool.close(), 20)


@pytest.fixture
def stdio_spec():
    def make(*traits: str, **more: Any) -> McpSpec:
        named = {"tenant": "default", "document": "d", "name": "files", "protocol": "legacy", "start_timeout": 10.0}
        return McpSpec(kind="stdio", command=sys.executable, args=(str(FAKE), *traits), **{**named, **more})

    return make
