"""What is put under a key of the files store is what a gateway reads."""

import os
from pathlib import Path

import pytest

from portico.store.files import FilesStore
from portico.store.records import StoredText
from portico.store.store import StoreError

pytestmark = pytest.mark.anyio


@pytest.fixture
def store(tmp_path: Path) -> FilesStore:
    return FilesStore(tmp_path)


async def texts(store: FilesStore) -> list[StoredText]:
    return list((await store.read()).documents)


async def test_an_empty_store_lists_nothing(store: FilesStore) -> None:
    assert await texts(store) == []


async def test_what_was_put_is_listed_as_it_was_written(store: FilesStore) -> None:
    text = "# A comment\nname:   a\n\ndescription: größer\r\n".encode()
    await store.put("a.yaml", text)
    assert await texts(store) == [StoredText("a.yaml", text)]


async def test_documents_are_listed_in_the_order_of_their_keys(store: FilesStore) -> None:
    for key in ("b.yaml", "a.yml", "c.json"):
        await store.put(key, b"name: x")
    assert [text.key for text in await texts(store)] == ["a.yml", "b.yaml", "c.json"]


async def test_putting_again_replaces(store: FilesStore) -> None:
    await store.put("a.yaml", b"one")
    await store.put("a.yaml", b"two")
    assert [text.text for text in await texts(store)] == [b"two"]


async def test_what_was_deleted_is_gone_and_may_be_deleted_again(store: FilesStore) -> None:
    await store.put("a.yaml", b"one")
    await store.delete("a.yaml")
    await store.delete("a.yaml")
    assert await texts(store) == []


async def test_the_revision_changes_with_every_change_and_only_then(store: FilesStore) -> None:
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
async def test_a_key_cannot_leave_the_store(store: FilesStore, key: str) -> None:
    with pytest.raises(StoreError) as error:
        await store.put(key, b"x")
    assert error.value.mend
    with pytest.raises(StoreError):
        await store.delete(key)
    assert await texts(store) == []


async def test_a_text_that_is_too_large_is_refused(store: FilesStore) -> None:
    with pytest.raises(StoreError, match="1 MiB"):
        await store.put("a.yaml", os.urandom(1024 * 1024 + 1))
    assert await texts(store) == []


async def test_a_store_can_be_closed(store: FilesStore) -> None:
    await store.close()
