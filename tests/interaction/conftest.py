"""Tests that talk to a gateway as its clients do. One worker serves a module, and each test finds its REST service new.

`changing` is a gateway of the test's own, for what a test writes into the store or ends.
"""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

for _rows in ("table", "modern", "legacy", "decisions"):
    pytest.register_assert_rewrite(f"tests.interaction.rows_{_rows}")
pytest.register_assert_rewrite("tests.interaction.rows")

from tests.fakes.gateway import INGRESSES, Gateway, running  # noqa: E402
from tests.interaction.documents import USERS  # noqa: E402


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


@pytest.fixture(params=[1, 2], ids=["one-worker", "two-workers"])
def workers(request: pytest.FixtureRequest) -> int:
    return request.param


@pytest.fixture
async def gateway(served: Gateway) -> AsyncIterator[Gateway]:
    yield served
    served.rest.forget()


@pytest.fixture
async def changing(anyio_backend: str, ingress: str, tmp_path: Path) -> AsyncIterator[Gateway]:
    async with running(tmp_path, {"users.yaml": USERS}, ingress=ingress, admin=True, notify=("local:",)) as gateway:
        yield gateway


@pytest.fixture
async def pair(anyio_backend: str, ingress: str, tmp_path: Path) -> AsyncIterator[tuple[Gateway, Gateway]]:
    """Two workers of one gateway, each at a port of its own."""
    documents, peers, key = tmp_path / "documents", tmp_path / "peers", b"k" * 32
    documents.mkdir()
    peers.mkdir()
    async with (
        running(documents, {"users.yaml": USERS}, ingress=ingress, peers=peers, key=key) as one,
        running(documents, {}, ingress=ingress, peers=peers, key=key, rest=one.rest) as other,
    ):
        yield one, other
