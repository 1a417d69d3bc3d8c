"""When keys were used last reaches the store, whatever the store does meanwhile."""

import asyncio
from collections.abc import Mapping

import pytest

from portico.apps.usage import Usage
from portico.auth.keys import KeyRing
from portico.config.key import Key, key_hash, new_key
from portico.store.store import StoreError

pytestmark = pytest.mark.anyio


class Desk:
    """The keys of a store, and how to wait for what it is told."""

    def __init__(self) -> None:
        self.told: list[Mapping[str, int]] = []
        self.trouble: Exception | None = None
        self.asked = asyncio.Event()

    async def used(self, hashes: Mapping[str, int]) -> None:
        self.asked.set()
        if self.trouble is not None:
            raise self.trouble
        self.told.append(hashes)

    async def asking(self) -> None:
        self.asked.clear()
        await asyncio.wait_for(self.asked.wait(), 5)


@pytest.fixture
def desk(anyio_backend: str) -> Desk:
    return Desk()


def usage(desk: Desk, used: dict[str, float]) -> Usage:
    return Usage(used, desk.used, clock=lambda: 100.0, every=0.001)


async def test_a_key_ring_notes_who_got_in_and_nobody_else() -> None:
    used: dict[str, float] = {}
    works, expired, foreign = new_key(), new_key(), new_key()
    keys = [Key("a", "works", key_hash(works)), Key("a", "old", key_hash(expired), expires=1.0)]
    ring = KeyRing([], lambda: 50.0).with_keys(keys, "/a", used)
    for credential in (works, expired, foreign, "nonsense"):
        ring.known(credential)
    assert used == {key_hash(works): 50.0}


async def test_what_was_used_is_told_once_as_how_long_ago(desk: Desk) -> None:
    used = {"a": 99.5, "b": 100.5}
    telling = asyncio.create_task(usage(desk, used).run())
    await desk.asking()
    used["a"] = 99.0
    await desk.asking()
    telling.cancel()
    assert desk.told == [{"a": 500, "b": 0}, {"a": 1000}]
    assert used == {}


async def test_while_the_store_is_down_the_newest_is_kept(desk: Desk) -> None:
    used = {"a": 90.0, "b": 90.0}
    desk.trouble = StoreError("it is down", "Wait")
    telling = asyncio.create_task(usage(desk, used).run())
    await desk.asking()
    used["a"] = 99.0
    await desk.asking()
    desk.trouble = ValueError("a surprise")
    await desk.asking()
    telling.cancel()
    desk.trouble = None
    used["a"] = 99.0
    await usage(desk, used).leave()
    assert desk.told[-1]["a"] == 1000


async def test_a_store_that_hangs_does_not_hold_up_the_end(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    async def hang(hashes: Mapping[str, int]) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr("portico.apps.usage.LEAVE", 0.01)
    await asyncio.wait_for(Usage({"a": 1.0}, hang).leave(), 5)
