"""What every test shares: asynchronous tests run on asyncio, the event loop that Portico runs on."""

import pytest


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
