"""What every test shares: asynchronous tests run on asyncio, the event loop that Portico runs on."""

import pytest

# What a check that is shared by tests found, a failure shows as those in the tests themselves do.
pytest.register_assert_rewrite("tests.e2e", "tests.contracts", "tests.fakes")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
