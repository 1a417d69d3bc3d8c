"""What every Store promises. A new kind of store is added to STORES and to nothing else."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from portico.store.open import open_store
from portico.store.store import Store, StoredText, StoreError

pytestmark = pytest.mark.anyio

STORES: dict[str, Callable[[Path], str]] = {"files": lambda directory: f"files:{directory}"}


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return open_store(STORES[request.param](tmp_path))


async def test_an_empty_store_lists_nothing(store: Store) -> None:
    assert await store.list() == []


async def test_what_was_put_is_listed_as_it_was_written(store: Store) -> None:
    text = "# A comment\nname:   a\n\ndescription: größer\r\n".encode()
    await store.put("a.yaml", text)
    assert await store.list() == [StoredText("a.yaml", text)]


async def test_documents_are_listed_in_the_order_of_their_keys(store: Store) -> None:
    for key in ("b.yaml", "a.yml", "c.json"):
        await store.put(key, b"name: x")
    assert [text.key for text in await store.list()] == ["a.yml", "b.yaml", "c.json"]


async def test_putting_again_replaces(store: Store) -> None:
    await store.put("a.yaml", b"one")
    await store.put("a.yaml", b"two")
    assert [text.text for text in await store.list()] == [b"two"]


async def test_what_was_deleted_is_gone_and_may_be_deleted_again(store: Store) -> None:
    await store.put("a.yaml", b"one")
    await store.delete("a.yaml")
    await store.delete("a.yaml")
    assert await store.list() == []


async def test_the_revision_changes_with_every_change_and_only_then(store: Store) -> None:
    seen = [await store.revision()]
    await store.put("a.yaml", b"one")
    seen.append(await store.revision())
    await store.put("a.yaml", b"two")
    seen.append(await store.revision())
    await store.put("b.yaml", b"two")
    seen.append(await store.revision())
    await store.delete("a.yaml")
    seen.append(await store.revision())
    assert len(set(seen)) == len(seen)
    assert await store.revision() == seen[-1]


@pytest.mark.parametrize(
    "key", ["../a.yaml", "a/b.yaml", ".a.yaml", "a.txt", "", "a\n.yaml", "/etc/a.yaml", "a" * 300 + ".yaml"]
)
async def test_a_key_cannot_leave_the_store(store: Store, key: str) -> None:
    with pytest.raises(StoreError) as error:
        await store.put(key, b"x")
    assert error.value.mend
    with pytest.raises(StoreError):
        await store.delete(key)
    assert await store.list() == []


async def test_a_text_that_is_too_large_is_refused(store: Store) -> None:
    with pytest.raises(StoreError, match="1 MiB"):
        await store.put("a.yaml", os.urandom(1024 * 1024 + 1))
    assert await store.list() == []


async def test_a_store_can_be_closed(store: Store) -> None:
    await store.close()
