"""The network's tests run on both event loops: uvloop is what serves, asyncio's own is what remains without it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import TypeVar

import pytest
from tests.fakes.net_certificates import write_ca

from portico.net.egress import Egress
from portico.net.http_client import HttpClient

T = TypeVar("T")


@pytest.fixture(params=[True, False], ids=["uvloop", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": request.param}


@pytest.fixture
async def client(anyio_backend: object) -> AsyncIterator[HttpClient]:
    client = HttpClient(Egress.parse("any"))
    yield client
    await client.aclose()


@pytest.fixture(scope="session")
def ca(tmp_path_factory: pytest.TempPathFactory):
    return write_ca(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def soon():
    """Awaits something that must happen within five seconds."""

    async def wait(awaitable: Awaitable[T]) -> T:
        return await asyncio.wait_for(awaitable, 5)

    return wait


@pytest.fixture
def here(tmp_path: Path) -> Path:
    return tmp_path
