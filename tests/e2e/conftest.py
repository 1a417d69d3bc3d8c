"""The order of the files here: those that take longest come first, so that in the end no worker has one left alone."""

import pytest

LONGEST = ("bridge_legs", "bridge", "clients", "publish", "relay", "process", "client_drivers", "config", "reload")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=_place)


def _place(item: pytest.Item) -> int:
    name = item.path.stem.removeprefix("test_")
    return LONGEST.index(name) if item.path.parent.name == "e2e" and name in LONGEST else len(LONGEST)
