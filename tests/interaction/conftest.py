"""Tests that talk to a gateway as its clients do. One worker serves a module, and each test finds its REST service new.

`changing` is a gateway of the test's own, for what a test writes into the store or ends.
"""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fakes.gateway import INGRESSES, Gateway, running
from tests.interaction.documents import USERS


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module", params=INGRESSES)
def ingress(request: pytest.FixtureRequest) -> str:
    """Both ways in must behave alike, so every test here runs with each."""
    return request.param


@pytest.fixture(scope="module")
async def served(anyio_backend: str, ingress: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    async with running(tmp_path_factory.mktemp("documents"), {"users.yaml": USERS}, ingress=ingress) as gateway:
        yield gateway


@pytest.fixture
async def gateway(served: Gateway) -> AsyncIterator[Gateway]:
    yield served
    served.rest.forget()


@pytest.fixture
async def changing(anyio_backend: str, ingress: str, tmp_path: Path) -> AsyncIterator[Gateway]:
    async with running(tmp_path, {"users.yaml": USERS}, ingress=ingress, admin=True) as gateway:
        yield gateway
