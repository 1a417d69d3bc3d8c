"""The copy of what a database said last."""

import stat
from pathlib import Path

import pytest

from portico.store.last_good import LastGood
from portico.store.records import Contents, StoredText
from portico.store.store import StoreError

pytestmark = pytest.mark.anyio

CONTENTS = Contents("7", (StoredText("default/users", b"version: 1", tenant="default", name="users"),))


class Database:
    """A source that is up or down."""

    def __init__(self, *, up: bool) -> None:
        self.up = up

    async def revision(self) -> str:
        return (await self.read()).revision

    async def read(self) -> Contents:
        if not self.up:
            raise StoreError("the database is down", "Start it")
        return CONTENTS

    async def close(self) -> None:
        pass


async def kept(path: Path, url: str) -> Contents:
    return await LastGood(Database(up=False), url, path).read()


async def test_a_copy_is_good_for_its_store_alone_whatever_its_password_is_now(tmp_path: Path) -> None:
    path = tmp_path / "copy"
    await LastGood(Database(up=True), "postgresql://u:old@h/d", path).read()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert await kept(path, "postgresql://u:old@h/d") == CONTENTS
    assert await kept(path, "postgresql://u:new@h/d") == CONTENTS
    for other in ("postgresql://v:old@h/d", "postgresql://u:old@h/e", "postgresql://u:old@i/d", "sqlite:d"):
        with pytest.raises(StoreError):
            await kept(path, other)
