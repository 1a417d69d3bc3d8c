"""What every Store promises, against real databases: SQLite, PostgreSQL and MariaDB, each as Debian packages it."""

import asyncio
import contextlib
import dataclasses
import hashlib
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import count
from pathlib import Path

import pymysql
import pytest
from sqlalchemy import Connection, Engine, delete, event, select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from tests.fakes.databases import KINDS, Kind, made

from portico.apps.migrate import migrate
from portico.db.address import parse
from portico.db.engine import create
from portico.settings import Settings
from portico.store.open import open_store
from portico.store.records import Owner, Row, SealedSecret, Stamp, StoredKey
from portico.store.sql import audit as audit_module
from portico.store.sql import documents as documents_module
from portico.store.sql import replicas as replicas_module
from portico.store.sql import store as store_module
from portico.store.sql.rows import KEPT
from portico.store.sql.schema import documents, meta, metadata, replicas, versions
from portico.store.sql.secrets import all_secrets
from portico.store.store import MAX_REPORT, Conflict, Missing, SchemaError, Store, StoreError

pytestmark = [pytest.mark.e2e, pytest.mark.anyio, pytest.mark.timeout(120)]

NOBODY = "a-password-that-is-wrong"


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kind]:
    with made(request.param, tmp_path_factory.mktemp(request.param)) as found:
        migrate(Settings(store=found.url))
        yield found


@pytest.fixture
async def store(kind: Kind) -> AsyncIterator[Store]:
    opened = open_store(kind.url)
    yield opened
    await opened.close()


NUMBERS = count(1)


@pytest.fixture
def tenant() -> str:
    """One that no other test has."""
    return f"tenant-{next(NUMBERS)}"


async def put(store: Store, tenant: str, name: str, text: bytes, expected: int | None = None) -> int:
    return await store.documents.put(tenant, name, text, expected=expected, author="anna", action="apply")


async def test_a_text_is_kept_as_it_was_written(store: Store, tenant: str) -> None:
    text = "# A comment\nname:   a\n\ndescription: größer 🗝\r\n".encode() + bytes(range(256))
    assert await put(store, tenant, "a", text, 0) == 1
    (kept,) = await store.documents.list(tenant)
    assert kept == await store.documents.get(tenant, "a")
    assert (kept.name, kept.version, kept.text, kept.author) == ("a", 1, text, "anna")
    assert text in {stored.text for stored in (await store.read()).documents}
    large = b"x" * 1024 * 1024
    await put(store, tenant, "a", large)
    assert (await store.documents.get(tenant, "a")).text == large
    with pytest.raises(StoreError, match="1 MiB"):
        await put(store, tenant, "a", large + b"x")


async def test_a_tenant_sees_its_own_documents_only(store: Store, tenant: str) -> None:
    await put(store, tenant, "b", b"b")
    await put(store, tenant, "a", b"a")
    await put(store, f"{tenant}-other", "a", b"other")
    assert [kept.name for kept in await store.documents.list(tenant)] == ["a", "b"]
    with pytest.raises(Missing):
        await store.documents.get(f"{tenant}-other", "b")
    mine = [stored for stored in (await store.read()).documents if stored.tenant == tenant]
    assert [(stored.key, stored.text) for stored in mine] == [(f"{tenant}/a", b"a"), (f"{tenant}/b", b"b")]


@pytest.mark.parametrize("name", ["", "../a", "a/b", "A", "ä", "a" * 64, "a\n", "-a", "a.yaml"])
async def test_a_name_that_would_be_a_path_is_refused(store: Store, tenant: str, name: str) -> None:
    for owner, document in ((tenant, name), (name, "a")):
        with pytest.raises(StoreError) as error:
            await put(store, owner, document, b"x")
        assert error.value.mend
    assert await store.documents.list(tenant) == []


async def test_whoever_changes_what_another_one_changed_meanwhile_is_refused(store: Store, tenant: str) -> None:
    await put(store, tenant, "a", b"one", 0)
    assert await put(store, tenant, "a", b"two", 1) == 2
    for expected, current in ((1, 2), (0, 2), (3, 2)):
        with pytest.raises(Conflict) as error:
            await put(store, tenant, "a", b"lost", expected)
        assert (error.value.expected, error.value.current) == (expected, current)
        with pytest.raises(Conflict):
            await store.documents.delete(tenant, "a", expected=expected, author="bob")
        with pytest.raises(Conflict):
            await store.documents.rollback(tenant, "a", 1, expected=expected, author="bob")
    with pytest.raises(Conflict):
        await put(store, tenant, "new", b"lost", 1)
    assert (await store.documents.get(tenant, "a")).text == b"two"
    assert [version.number for version in await store.documents.versions(tenant, "a")] == [2, 1]
    assert len(await store.audit.list(tenant)) == 2


async def test_a_rollback_is_a_version_that_says_what_the_old_one_said(store: Store, tenant: str) -> None:
    for text in (b"one", b"two"):
        await put(store, tenant, "a", text)
    assert await store.documents.rollback(tenant, "a", 1, expected=2, author="bob", note="it broke") == 3
    assert (await store.documents.get(tenant, "a")).text == b"one"
    found = await store.documents.versions(tenant, "a")
    assert [(each.number, each.author, each.action, each.note) for each in found] == [
        (3, "bob", "rollback", "it broke"),
        (2, "anna", "apply", ""),
        (1, "anna", "apply", ""),
    ]
    assert [(each.digest, each.size) for each in found[:2]] == [
        (hashlib.sha256(b"one").hexdigest(), 3),
        (hashlib.sha256(b"two").hexdigest(), 3),
    ]
    assert [await store.documents.text(tenant, "a", number) for number in (1, 2, 3)] == [b"one", b"two", b"one"]
    with pytest.raises(Missing):
        await store.documents.rollback(tenant, "a", 9, expected=None, author="bob")


async def test_what_was_deleted_can_be_brought_back(store: Store, tenant: str) -> None:
    await put(store, tenant, "a", b"one")
    assert await store.documents.delete(tenant, "a", expected=1, author="bob") == 2
    assert await store.documents.list(tenant) == []
    assert tenant not in {stored.tenant for stored in (await store.read()).documents}
    for asked in (store.documents.get(tenant, "a"), store.documents.text(tenant, "a", 2)):
        with pytest.raises(Missing):
            await asked
    with pytest.raises(Missing):
        await store.documents.delete(tenant, "a", expected=None, author="bob")
    assert [version.action for version in await store.documents.versions(tenant, "a")] == ["delete", "apply"]
    assert await store.documents.rollback(tenant, "a", 1, expected=0, author="bob") == 3
    assert (await store.documents.get(tenant, "a")).text == b"one"


async def test_old_versions_make_room(store: Store, tenant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents_module, "MAX_VERSIONS", 3)
    for number in range(1, 6):
        await put(store, tenant, "a", str(number).encode())
    assert [version.number for version in await store.documents.versions(tenant, "a")] == [5, 4, 3]
    with pytest.raises(Missing):
        await store.documents.text(tenant, "a", 2)
    with pytest.raises(Missing):
        await store.documents.versions(tenant, "b")


async def test_the_audit_tells_who_did_what(store: Store, tenant: str) -> None:
    await put(store, tenant, "a", b"one")
    await store.documents.delete(tenant, "a", expected=None, author="bob", note="not needed")
    await store.secrets.put(tenant, "TOKEN", b"sealed", "k1", author="carl")
    found = [(each.author, each.action, each.kind, each.name, each.version) for each in await store.audit.list(tenant)]
    assert found == [
        ("carl", "put", "secret", "TOKEN", None),
        ("bob", "delete", "document", "a", 2),
        ("anna", "apply", "document", "a", 1),
    ]
    assert len(await store.audit.list(tenant, most=2)) == 2


async def test_old_entries_of_the_audit_make_room(store: Store, tenant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever numbers the database gives them."""
    monkeypatch.setattr(audit_module, "MAX_EVENTS", 3)
    for number in range(1, 6):
        await put(store, tenant, "a", str(number).encode())
        assert [each.version for each in await store.audit.list(tenant)] == list(range(number, max(0, number - 3), -1))


async def test_the_revision_grows_with_every_change_of_what_a_gateway_reads(store: Store, tenant: str) -> None:
    seen = [int(await store.revision())]
    key = StoredKey(tenant, "k", hashlib.sha256(tenant.encode()).hexdigest(), "wxyz", ("/a",), (), created=0)
    for change in (
        lambda: put(store, tenant, "a", b"one"),
        lambda: store.documents.delete(tenant, "a", expected=1, author="bob"),
        lambda: store.documents.rollback(tenant, "a", 1, expected=0, author="bob"),
        lambda: store.secrets.put(tenant, "TOKEN", b"sealed", "k1", author="bob"),
        lambda: store.secrets.delete(tenant, "TOKEN", author="bob"),
        lambda: store.keys.add(key, author="bob"),
        lambda: store.keys.revoke(tenant, "k", author="bob"),
        lambda: store.tenants.put(tenant, f"/{tenant}", author="bob"),
    ):
        await change()
        seen.append(int(await store.revision()))
    assert seen == sorted(set(seen))
    with pytest.raises(Conflict):
        await put(store, tenant, "a", b"lost", 9)
    await store.replicas.report("one", b"{}")
    await store.keys.used({key.hash: 0})
    assert int(await store.revision()) == seen[-1]
    assert (await store.read()).revision == str(seen[-1])


async def test_a_key_is_kept_as_its_hash_and_stays_when_it_is_revoked(store: Store, tenant: str) -> None:
    digest = hashlib.sha256(tenant.encode()).hexdigest()
    key = StoredKey(tenant, "k", digest, "wxyz", ("/a", "/b"), ("get_*",), created=0, expires=5)
    await store.keys.add(key, author="bob")
    with pytest.raises(StoreError, match="already"):
        await store.keys.add(key, author="bob")
    for name in ("", "k" * 256):
        with pytest.raises(StoreError, match="1 to 255 characters"):
            await store.keys.add(dataclasses.replace(key, name=name), author="bob")
    (found,) = await store.keys.list(tenant)
    assert found.created > 0
    assert dataclasses.replace(found, created=0) == key
    # Used a second ago: never before it was made by more than that.
    await store.keys.used({digest: 1000, "0" * 64: 0})
    await store.keys.revoke(tenant, "k", author="bob")
    with pytest.raises(Missing):
        await store.keys.revoke(tenant, "k", author="bob")
    (revoked,) = await store.keys.list(tenant)
    assert revoked in (await store.read()).keys
    assert revoked.revoked is not None
    assert revoked.revoked >= found.created
    assert revoked.last_used is not None
    assert revoked.last_used >= found.created - 1000


async def test_a_tenant_with_something_of_its_own_is_not_removed(store: Store, tenant: str) -> None:
    assert await owner(store, tenant) is None
    await store.tenants.put(tenant, "/a", author="bob")
    await store.tenants.put(tenant, "/b", author="bob")
    with pytest.raises(StoreError, match="there already"):
        await store.tenants.put(tenant, "/c", author="bob", new=True)
    await put(store, tenant, "a", b"one")
    await store.secrets.put(tenant, "TOKEN", b"sealed", "k1", author="bob")
    for name in ("one", "two"):
        digest = hashlib.sha256(f"{tenant} {name}".encode()).hexdigest()
        await store.keys.add(StoredKey(tenant, name, digest, "wxyz", (), (), created=0), author="bob")
    await store.keys.revoke(tenant, "one", author="bob")
    found = await owner(store, tenant)
    assert found is not None
    assert dataclasses.replace(found, created=1) == Owner(tenant, "/b", 1, documents=1, secrets=1, keys=1)
    with pytest.raises(StoreError, match="still has 1 documents, 1 secrets, 1 API keys"):
        await store.tenants.delete(tenant, author="bob")
    await store.documents.delete(tenant, "a", expected=None, author="bob")
    await store.secrets.delete(tenant, "TOKEN", author="bob")
    with pytest.raises(StoreError, match="still has 1 API keys"):
        await store.tenants.delete(tenant, author="bob")
    await store.keys.revoke(tenant, "two", author="bob")
    await store.tenants.delete(tenant, author="bob")
    with pytest.raises(Missing):
        await store.tenants.delete(tenant, author="bob")


async def test_whoever_takes_the_name_of_a_removed_tenant_gets_nothing_of_it(store: Store, tenant: str) -> None:
    other = f"{tenant}-other"
    for name in (tenant, other):
        # A tenant that nobody made by name.
        await put(store, name, "a", b"one")
        await store.secrets.put(name, "TOKEN", b"sealed", "k1", author="bob")
        key = StoredKey(name, "k", hashlib.sha256(name.encode()).hexdigest(), "wxyz", (), (), created=0)
        await store.keys.add(key, author="bob")
    before = await owner(store, other)
    await store.tenants.delete(tenant, author="bob", force=True)
    assert await owner(store, tenant) is None
    assert await store.keys.list(tenant) == []
    with pytest.raises(Missing):
        await store.documents.versions(tenant, "a")
    (told, *_) = await store.audit.list(tenant)
    assert (told.action, told.note) == ("delete", "with 1 documents, 1 secrets, 1 API keys")
    assert await put(store, tenant, "a", b"new") == 1
    assert await owner(store, other) == before == Owner(other, documents=1, secrets=1, keys=1)


async def owner(store: Store, tenant: str) -> Owner | None:
    return next((each for each in await store.tenants.list() if each.name == tenant), None)


async def test_secrets_are_kept_sealed(store: Store, tenant: str) -> None:
    for sealed in (b"\x00\xffone", b"two"):
        await store.secrets.put(tenant, "TOKEN", sealed, "k1", author="bob")
    (found,) = await store.secrets.list(tenant)
    assert (found.name, found.sealed, found.key_id) == ("TOKEN", b"two", "k1")
    assert found in (await store.read()).secrets
    await store.secrets.delete(tenant, "TOKEN", author="bob")
    with pytest.raises(Missing):
        await store.secrets.delete(tenant, "TOKEN", author="bob")


async def test_a_secret_is_sealed_anew_only_while_it_is_what_was_read(store: Store, tenant: str) -> None:
    await store.secrets.put(tenant, "TOKEN", b"one", "k1", author="bob")
    (before,) = await store.secrets.list(tenant)
    assert await store.secrets.reseal(before, b"one, anew", "k2", author="bob")
    assert not await store.secrets.reseal(before, b"one, late", "k3", author="bob")
    (found,) = await store.secrets.list(tenant)
    assert (found.sealed, found.key_id, found.updated) == (b"one, anew", "k2", before.updated)
    await store.secrets.delete(tenant, "TOKEN", author="bob")
    assert not await store.secrets.reseal(found, b"one, back", "k3", author="bob")
    assert await store.secrets.list(tenant) == []


async def test_replicas_report_at_once_and_may_be_forgotten(kind: Kind, store: Store, tenant: str) -> None:
    stores = [open_store(kind.url) for _ in range(4)]
    await asyncio.gather(*(each.replicas.report(tenant, b"first") for each in stores))
    await store.replicas.report(tenant, b"last")
    (mine,) = [each for each in await store.replicas.list() if each.id == tenant]
    assert mine.report == b"last"
    assert 0 <= mine.age < 60_000
    await store.replicas.forget([tenant])
    assert tenant not in {each.id for each in await store.replicas.list()}
    for each in stores:
        await each.close()


async def test_two_hundred_writers_at_once_lose_nothing(kind: Kind, tenant: str) -> None:
    """Each reads, adds itself and writes, and begins again when somebody else was faster."""
    stores = [open_store(kind.url) for _ in range(8)]
    await put(stores[0], tenant, "a", b"")
    alone = [asyncio.Semaphore(1) for _ in stores]

    async def write(number: int) -> None:
        store = stores[number % 8]
        async with alone[number % 8]:
            while True:
                kept = await store.documents.get(tenant, "a")
                with contextlib.suppress(Conflict):
                    await put(store, tenant, "a", kept.text + b" %d" % number, kept.version)
                    return

    revision = int(await stores[0].revision())
    await asyncio.gather(*(write(number) for number in range(200)))
    kept = await stores[0].documents.get(tenant, "a")
    assert sorted(map(int, kept.text.split())) == list(range(200))
    assert kept.version == 201
    assert int(await stores[0].revision()) == revision + 200
    assert len(await stores[0].audit.list(tenant, most=1000)) == 201
    for each in stores:
        await each.close()


WRITER = """
import asyncio, sys
from portico.store.open import open_store
async def main():
    store = open_store(sys.argv[1])
    number = 0
    while True:
        number += 1
        done = await store.documents.put(sys.argv[2], "a", b"x" * 50_000 + b" %d" % number, expected=number - 1,
            author="a", action="apply")
        print(done, flush=True)
asyncio.run(main())
"""


def writing(url: str, tenant: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", WRITER, url, tenant], stdout=subprocess.PIPE)


async def test_a_writer_that_is_killed_leaves_its_change_whole_or_not_at_all(
    kind: Kind, store: Store, tenant: str
) -> None:
    for attempt in range(4):
        owner = f"{tenant}-{attempt}"
        writer = writing(kind.url, owner)
        assert writer.stdout is not None
        try:
            for _ in range(3 + 5 * attempt):
                assert await asyncio.to_thread(writer.stdout.readline)
        finally:
            writer.kill()
        acknowledged = [int(line) for line in writer.stdout.read().split()]
        writer.wait()
        last = max([3 + 5 * attempt, *acknowledged])
        kept = await store.documents.get(owner, "a")
        assert last <= kept.version <= last + 1
        assert kept.text.endswith(b" %d" % kept.version)
        found = await store.documents.versions(owner, "a")
        assert [each.number for each in found] == list(range(kept.version, 0, -1))
        assert found[0].digest == hashlib.sha256(kept.text).hexdigest()
        told = await store.audit.list(owner, most=1000)
        assert [each.version for each in told] == [each.number for each in found]


@pytest.mark.parametrize("kind", KINDS[1:], indirect=True)
async def test_a_database_that_was_down_is_asked_again(kind: Kind, store: Store, tenant: str) -> None:
    await put(store, tenant, "a", b"one")
    await asyncio.to_thread(kind.stop)
    for asked in (store.revision(), put(store, tenant, "a", b"two")):
        with pytest.raises(StoreError) as error:
            await asked
        assert not isinstance(error.value, SchemaError)
        assert "a-password-of" not in str(error.value)
    await asyncio.to_thread(kind.start)
    assert (await store.documents.get(tenant, "a")).text == b"one"
    assert await put(store, tenant, "a", b"two", 1) == 2


@pytest.mark.parametrize("kind", KINDS[1:], indirect=True)
async def test_a_restart_between_two_questions_is_not_noticed(kind: Kind, store: Store) -> None:
    before = await store.revision()
    await asyncio.to_thread(kind.stop)
    await asyncio.to_thread(kind.start)
    assert await store.revision() == before


@pytest.mark.parametrize("kind", KINDS[1:], indirect=True)
async def test_a_wrong_password_is_said_and_not_shown(kind: Kind) -> None:
    url = kind.url.replace("a-password-of-postgres", NOBODY).replace("a-password-of-mariadb", NOBODY)
    store = open_store(url)
    with pytest.raises(StoreError) as error:
        await store.revision()
    assert NOBODY not in str(error.value)
    assert "portico:***@127.0.0.1" in str(error.value)
    await store.close()


async def test_a_store_without_tables_says_what_makes_them(kind: Kind) -> None:
    store = open_store(kind.empty)
    for asked in (store.revision(), store.documents.list("default"), put(store, "default", "a", b"x")):
        with pytest.raises(SchemaError, match="portico migrate --store"):
            await asked
    await store.close()


async def test_a_schema_of_another_program_is_refused_with_what_to_do(kind: Kind) -> None:
    await change_meta(kind.url, schema=0)
    try:
        await refused(kind, "older than 1", "Run portico migrate")
        await change_meta(kind.url, schema=9, least=2)
        await refused(kind, "newer than 1", "Use the program that migrated it")
        # A schema that only added something goes on serving programs that were there before.
        await change_meta(kind.url, schema=9, least=1)
        store = open_store(kind.url)
        await store.revision()
        await store.close()
    finally:
        await change_meta(kind.url, schema=1, least=1)


async def refused(kind: Kind, message: str, mend: str) -> None:
    store = open_store(kind.url)
    for asked in (store.revision(), store.read(), store.documents.list("default")):
        with pytest.raises(SchemaError, match=message) as error:
            await asked
        assert mend in str(error.value)
    with pytest.raises(SchemaError, match=message):
        await put(store, "default", "a", b"x")
    await store.close()


async def test_a_store_that_is_open_for_long_notices_a_migration(kind: Kind, store: Store, tenant: str) -> None:
    await put(store, tenant, "a", b"one")
    await change_meta(kind.url, schema=9, least=2)
    try:
        for asked in (put(store, tenant, "a", b"two"), store.documents.get(tenant, "a")):
            with pytest.raises(SchemaError, match="newer than 1"):
                await asked
    finally:
        await change_meta(kind.url, schema=1, least=1)
    assert (await store.documents.get(tenant, "a")).text == b"one"


async def test_what_a_gateway_reads_is_of_one_moment(
    kind: Kind, store: Store, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(store, tenant, "a", b"one")
    revision = await store.revision()
    other = open_store(kind.url)

    async def late(connection: AsyncConnection) -> list[SealedSecret]:
        await other.secrets.put(tenant, "TOKEN", b"sealed", "k1", author="bob")
        return await all_secrets(connection)

    monkeypatch.setattr(store_module, "all_secrets", late)
    contents = await store.read()
    assert contents.revision == revision
    assert tenant not in {secret.tenant for secret in contents.secrets}
    monkeypatch.undo()
    assert tenant in {secret.tenant for secret in (await store.read()).secrets}
    await other.close()


async def test_a_backup_is_of_one_moment(kind: Kind, store: Store, tenant: str) -> None:
    await put(store, tenant, "a", b"one")
    other = open_store(kind.url)
    rows = store.rows.read()
    stamp = await anext(rows)
    await put(other, tenant, "b", b"two")
    await other.secrets.put(tenant, "TOKEN", b"sealed", "k1", author="bob")
    found = [row async for row in rows if isinstance(row, Row) and row.values.get("tenant") == tenant]
    assert isinstance(stamp, Stamp)
    assert [(row.table, row.values["name"]) for row in found] == [("documents", "a"), ("audit", "a")]
    assert stamp.revision == int(await other.revision()) - 2
    await other.close()


async def test_a_restoring_is_a_revision_that_nobody_has_seen(kind: Kind, store: Store, tenant: str) -> None:
    await put(store, tenant, "a", b"one")
    seen = [int(await store.revision())]
    everything = [row async for row in store.rows.read()]
    stamp, rows = everything[0], [row for row in everything if isinstance(row, Row)]
    assert isinstance(stamp, Stamp)
    with pytest.raises(StoreError, match="is not empty"):
        await store.rows.restore(stamp, rows, replace=False, author="bob")
    assert int(await store.revision()) == seen[0]
    for _ in range(2):
        await put(store, tenant, "a", b"two")
        seen.append(int(await store.revision()))
        await store.rows.restore(stamp, rows, replace=True, author="bob")
        assert int(await store.revision()) > max(seen)
        seen.append(int(await store.revision()))
    assert (await store.documents.get(tenant, "a")).text == b"one"
    (told, *_) = await store.audit.list(tenant)
    assert (told.author, told.action, told.kind, told.note) == ("bob", "restore", "store", f"revision {stamp.revision}")


async def test_a_text_of_the_same_version_is_not_taken_for_the_one_before(
    kind: Kind, store: Store, tenant: str
) -> None:
    """As when the database's own tools brought an older state back, and somebody went on from there."""
    await put(store, tenant, "a", b"one")
    assert b"one" in {text.text for text in (await store.read()).documents}
    mine = documents.c.tenant == tenant
    number = select(documents.c.id).where(mine).scalar_subquery()
    digest = hashlib.sha256(b"two").hexdigest()
    await run(
        kind.url,
        lambda each: each.execute(
            update(versions).where(versions.c.document == number).values(text=b"two", digest=digest)
        ),
    )
    await run(kind.url, lambda each: each.execute(update(documents).where(mine).values(text=b"two")))
    assert [text.text for text in (await store.read()).documents if text.tenant == tenant] == [b"two"]


def test_a_backup_leaves_nothing_out_but_what_gateways_say_of_themselves() -> None:
    assert set(KEPT.values()) == set(metadata.tables.values()) - {meta, replicas}


async def change_meta(url: str, **values: int) -> None:
    await run(url, lambda connection: connection.execute(update(meta).values(**values)))


async def run(url: str, what: Callable[[AsyncConnection], object]) -> object:
    engine = create(parse(url))
    try:
        async with engine.begin() as connection:
            return await what(connection)  # type: ignore[misc]
    finally:
        await engine.dispose()


async def migrating(url: str) -> int:
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "portico.cli", "migrate", "--store", url)
    return await process.wait()


async def test_a_migration_may_be_run_again_and_beside_another(kind: Kind, store: Store, tenant: str) -> None:
    await put(store, tenant, "a", b"one")
    assert await asyncio.gather(*(migrating(kind.url) for _ in range(3))) == [0, 0, 0]
    assert (await store.documents.get(tenant, "a")).text == b"one"


def touch(url: str) -> None:
    """What Portico never does by itself: make a file where none is."""
    if url.startswith("sqlite:"):
        Path(url.removeprefix("sqlite:")).touch()


async def test_a_migration_that_was_cut_off_begins_again(kind: Kind, tenant: str) -> None:
    """As MySQL leaves it, which commits each table by itself."""
    url = kind.empty
    for left in ("CREATE TABLE portico_versions (a INTEGER)", "CREATE TABLE documents (mine INTEGER)"):
        touch(url)
        await run(url, lambda connection, left=left: connection.exec_driver_sql(left))
    await asyncio.to_thread(migrate, Settings(store=url))
    store = open_store(url)
    await put(store, tenant, "a", b"one")
    await store.close()
    # Somebody else's table of a plain name is not ours to touch.
    await run(url, lambda connection: connection.exec_driver_sql("SELECT mine FROM documents"))
    assert await run(url, lambda connection: connection.scalar(select(versions.c.number))) == 1


async def test_a_database_that_a_newer_program_migrated_is_not_migrated(kind: Kind) -> None:
    await set_migration(kind.url, "9999")
    try:
        with pytest.raises(SchemaError, match="newer than this program"):
            await asyncio.to_thread(migrate, Settings(store=kind.url))
    finally:
        await set_migration(kind.url, "0001")


@pytest.mark.parametrize("kind", KINDS[2:], indirect=True)
async def test_a_migration_gives_its_turn_away_when_others_see_what_it_did(kind: Kind) -> None:
    """MySQL's turn does not end with the transaction."""
    url = kind.url.rpartition("/")[0] + "/portico4"
    address = parse(url).url
    seen: list[int] = []

    def about_to(connection: Connection, cursor: object, statement: str, *more: object) -> None:
        if "RELEASE_LOCK" in statement:
            login = {"user": address.username, "password": address.password, "database": address.database}
            with pymysql.connect(host=address.host, port=address.port, **login) as other, other.cursor() as asked:
                seen.append(asked.execute("SELECT id FROM portico_meta"))

    event.listen(Engine, "before_cursor_execute", about_to)
    try:
        await asyncio.to_thread(migrate, Settings(store=url))
    finally:
        event.remove(Engine, "before_cursor_execute", about_to)
    assert seen == [1]


async def set_migration(url: str, number: str) -> None:
    statement = f"UPDATE portico_migrations SET version_num = '{number}'"
    await run(url, lambda connection: connection.exec_driver_sql(statement))


async def test_a_version_without_its_document_cannot_be(kind: Kind, store: Store, tenant: str) -> None:
    await put(store, tenant, "a", b"one")
    writes = versions.insert().values(document=10**9, number=1, digest="", size=0, author="", action="", note="", at=0)
    with pytest.raises(Exception, match=r"(?i)foreign key"):
        await run(kind.url, lambda connection: connection.execute(writes))
    await run(kind.url, lambda connection: connection.execute(delete(versions).where(versions.c.document == 10**9)))


def test_the_file_of_a_database_is_its_owners_alone(tmp_path: Path) -> None:
    migrate(Settings(store=f"sqlite:{tmp_path}/a.db"))
    assert (tmp_path / "a.db").stat().st_mode & 0o777 == 0o600
    with pytest.raises(StoreError, match="could not be migrated"):
        migrate(Settings(store=f"sqlite:{tmp_path}/gone/a.db"))


async def aged(kind: Kind, names: list[str], milliseconds: int) -> None:
    """As if so much time had passed since they reported."""
    engine = create(parse(kind.url))
    mine = update(replicas).where(replicas.c.id.in_(names))
    async with engine.begin() as connection:
        await connection.execute(mine.values(reported_at=replicas.c.reported_at - milliseconds))
    await engine.dispose()


async def test_a_report_takes_the_place_of_the_one_before_and_its_age_is_by_the_clock_of_the_store(
    store: Store, kind: Kind, tenant: str
) -> None:
    await store.replicas.report(tenant, b"old")
    await aged(kind, [tenant], 3_600_000)
    (old,) = [each for each in await store.replicas.list() if each.id == tenant]
    assert old.report == b"old"
    assert 3_600_000 <= old.age < 3_660_000
    await store.replicas.report(tenant, b"new")
    (new,) = [each for each in await store.replicas.list() if each.id == tenant]
    assert new.report == b"new"
    assert -1_000 < new.age < 60_000
    await store.replicas.forget([tenant])
    assert tenant not in [each.id for each in await store.replicas.list()]


async def test_a_report_that_is_too_large_is_refused(store: Store, tenant: str) -> None:
    await store.replicas.report(tenant, b"x" * MAX_REPORT)
    with pytest.raises(StoreError, match="larger"):
        await store.replicas.report(tenant, b"x" * (MAX_REPORT + 1))


async def test_reports_of_replicas_that_are_long_gone_are_cleared_away(
    store: Store, kind: Kind, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"{tenant}-{number}" for number in range(4)]
    for name in names:
        await store.replicas.report(name, b"{}")
    await aged(kind, names[:2], 100_000)
    await aged(kind, names[2:3], 50_000)

    async def left() -> list[str]:
        return [each.id for each in await store.replicas.list() if each.id in names]

    monkeypatch.setattr(replicas_module, "BATCH", 1)
    await store.replicas.clear(60_000)
    assert await left() == names[2:]
    monkeypatch.setattr(replicas_module, "MAX_REPLICAS", 1)
    assert await left() == names[3:]
    await store.replicas.clear(60_000)
    monkeypatch.undo()
    assert await left() == names[3:]
