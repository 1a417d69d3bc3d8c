"""Writes that are interrupted: whoever makes them is killed, or the connection breaks while they are committed."""

import asyncio
import hashlib
import multiprocessing
import os
import random
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from tests.e2e.desk import Desk
from tests.e2e.writer import DOCUMENTS, Told, head, write
from tests.fakes.cut_wire import cut_at_commit
from tests.fakes.databases import KINDS, Kind, made

from portico.apps.migrate import migrate
from portico.settings import Settings
from portico.store.files.documents import EDITOR
from portico.store.open import open_store
from portico.store.records import DEFAULT_TENANT
from portico.store.store import Missing, Store, Unknown

pytestmark = [pytest.mark.e2e, pytest.mark.anyio, pytest.mark.timeout(180)]

SECONDS = float(os.environ.get("PORTICO_SOAK_SECONDS", "0"))
KILLS = 100 if SECONDS else 15
WRITERS = 8
WAIT = 30.0
DOCUMENT = "version: 1\nname: {name}\nrouters: [{{prefix: /{name}, server: a}}]\nservers: [{{name: a}}]\n"

# Writers come and go often, so what they import is imported once.
START = multiprocessing.get_context("forkserver")
START.set_forkserver_preload(["tests.e2e.writer", "portico.store.sql.store", "asyncpg", "aiomysql", "pytest"])


@pytest.fixture(params=(*KINDS, "files"))
def kind(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Kind]:
    if request.param == "files":
        (tmp_path / "documents").mkdir()
        yield Kind(f"files:{tmp_path}/documents", "")
        return
    with made(request.param, tmp_path) as found:
        yield found


@pytest.fixture
async def store(kind: Kind) -> AsyncIterator[Store]:
    await asyncio.to_thread(migrate, Settings(store=kind.url))
    opened = open_store(kind.url)
    yield opened
    await opened.close()


class Writer:
    """`under_way` is what it has sent and has no answer to, as far as it told."""

    def __init__(self, url: str, name: str) -> None:
        self.acknowledged: list[Told] = []
        self.under_way: Told | None = None
        self.seconds = 0.0
        self._pipe, theirs = START.Pipe(duplex=False)
        self._process = START.Process(target=write, args=(url, name, theirs), daemon=True)
        self._process.start()
        theirs.close()

    def hear(self, within: float) -> bool:
        """Whether it told something more within so many seconds."""
        if not self._pipe.poll(within):
            return False
        told = self._pipe.recv()
        self.under_way = told if told.version is None else None
        if told.version is not None:
            self.seconds = told.seconds
        if told.version:
            self.acknowledged.append(told)
        return True

    def kill(self) -> None:
        self._process.kill()
        self._process.join(WAIT)
        with suppress(EOFError):
            while self.hear(0):
                pass
        self._pipe.close()

    def was_killed_under_way(self) -> bool:
        """Whether it could be killed, at some time of a write, before it was told how that ended."""
        while self.hear(0) or self.under_way is None:
            assert self.hear(WAIT), "the writer tells nothing any more"
        if self.hear(random.uniform(0, self.seconds or 0.05)):
            return False
        self.kill()
        return True


@pytest.mark.soak
@pytest.mark.timeout(180 + 600 * bool(SECONDS))
async def test_writers_that_are_killed_lose_nothing_and_leave_nothing_half_done(kind: Kind, store: Store) -> None:
    before = await changes(store)
    writers = [Writer(kind.url, f"w{number}") for number in range(WRITERS)]
    killed: list[Writer] = []
    try:
        while sum(each.under_way is not None for each in killed) < KILLS:
            place = random.randrange(WRITERS)
            if writers[place].was_killed_under_way():
                killed.append(writers[place])
                writers[place] = Writer(kind.url, f"w{WRITERS + len(killed)}")
                await nothing_is_half_visible(store)
    finally:
        for each in writers:
            each.kill()
    everybody = [*killed, *writers]
    acknowledged = [told for each in everybody for told in each.acknowledged]
    unknown = {each.under_way.entry for each in everybody if each.under_way is not None}
    done = [entry for name in DOCUMENTS for entry in await whole(store, name, acknowledged)]
    assert {*done} - {told.entry for told in acknowledged} <= unknown
    grown = await changes(store) - before
    # To note what an editor did to files counts too, also when it turns out to have been another command.
    assert grown == len(done) or (grown > len(done) and kind.url.startswith("files:"))
    print(f"{len(killed)} killed, {len(acknowledged)} acknowledged, of {len(unknown)} without an answer", end=" ")
    print(f"{len({*done} & unknown)} were done")


async def changes(store: Store) -> int:
    """How many there were. The revision of files says before it what the files say."""
    return int((await store.revision()).rpartition("-")[2])


async def nothing_is_half_visible(store: Store) -> None:
    """While others write: what is seen of a document has its version and its entry in the audit."""
    for kept in await store.documents.list(DEFAULT_TENANT):
        found = {each.number: each for each in await store.documents.versions(DEFAULT_TENANT, kept.name)}
        assert found[kept.version].digest == hashlib.sha256(kept.text).hexdigest()
        told = await store.audit.list(DEFAULT_TENANT, most=1000)
        assert (kept.name, kept.version, kept.author) in {(each.name, each.version, each.author) for each in told}


async def whole(store: Store, name: str, acknowledged: list[Told]) -> list[str]:
    """The entries of a document, one of each version, after it is known that all that is kept of it agrees."""
    kept = await store.documents.get(DEFAULT_TENANT, name)
    assert kept.text.startswith(head(name))
    entries = re.findall(r"^# (.+)$", kept.text.decode(), re.MULTILINE)
    assert len(entries) == len({*entries}) == kept.version
    for told in acknowledged:
        if told.document == name:
            assert entries[(told.version or 0) - 1] == told.entry
    versions = await store.documents.versions(DEFAULT_TENANT, name)
    assert [each.number for each in versions] == list(range(kept.version, max(0, kept.version - 100), -1))
    for each in versions:
        said = head(name) + "".join(f"# {entry}\n" for entry in entries[: each.number]).encode()
        assert (each.digest, each.size) == (hashlib.sha256(said).hexdigest(), len(said))
        assert await store.documents.text(DEFAULT_TENANT, name, each.number) == said
    events = [each for each in await store.audit.list(DEFAULT_TENANT, most=100_000) if each.name == name]
    assert [each.version for each in reversed(events)] == list(range(1, kept.version + 1))
    known = {told.entry for told in acknowledged}
    for entry, event in zip(entries, reversed(events), strict=True):
        # Of a writer that was killed between its file and its version only the file says that it was there.
        assert event.author in (entry, *([EDITOR] if entry not in known else []))
    return entries


@pytest.mark.parametrize("kind", KINDS[1:], indirect=True)
async def test_a_connection_that_breaks_at_the_commit_is_not_said_to_have_failed(kind: Kind, store: Store) -> None:
    for heard in (True, False):
        async with cut_at_commit(kind.url, heard=heard) as url:
            cut = open_store(url)
            name = f"heard-{heard}".lower()
            with pytest.raises(Unknown, match="unknown whether") as error:
                await cut.documents.put(DEFAULT_TENANT, name, b"one", expected=None, author="anna", action="apply")
            assert f"portico config versions {name} --tenant default shows" in error.value.mend
            await cut.close()
        assert await numbers(store, name) == [1] * heard


@pytest.mark.parametrize("kind", KINDS[1:], indirect=True)
async def test_a_command_whose_change_is_unknown_says_so_and_what_it_did_before(
    kind: Kind, store: Store, tmp_path: Path
) -> None:
    async with cut_at_commit(kind.url, heard=True, after=1) as url:
        desk = Desk(url, tmp_path)
        files = [desk.write(f"{name}.yaml", DOCUMENT.format(name=name)) for name in ("a", "b", "c")]
        found = await asyncio.to_thread(desk, "config", "apply", *files, notify=f"signal:{tmp_path}/pid")
        assert found.returncode == 3, found.stdout + found.stderr
        first, unknown, rest, told = found.stdout.splitlines()[-4:]
        assert (first, rest) == ("a: version 1", "c: not written")
        assert "it is unknown whether" in unknown
        assert "portico config versions b --tenant default shows" in unknown
        assert told.startswith("The gateways were not told")
    again = await asyncio.to_thread(Desk(kind.url, tmp_path).done, "config", "apply", *files)
    assert again.splitlines()[-3:] == ["a: version 1, unchanged", "b: version 1, unchanged", "c: version 1"]


async def numbers(store: Store, name: str) -> list[int]:
    try:
        return [each.number for each in await store.documents.versions(DEFAULT_TENANT, name)]
    except Missing:
        return []
