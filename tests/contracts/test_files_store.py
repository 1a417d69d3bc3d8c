"""What a Store promises, kept by a directory of files that people edit by hand as well."""

import asyncio
import dataclasses
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from portico.store.files import documents as documents_module
from portico.store.files.source import FilesSource
from portico.store.open import open_source, open_store
from portico.store.records import Row, Stamp, StoredKey
from portico.store.store import Conflict, Missing, Store, StoreError

pytestmark = [pytest.mark.e2e, pytest.mark.anyio, pytest.mark.timeout(120)]


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = open_store(f"files:{tmp_path}")
    yield opened
    await opened.close()


def text(words: str, name: str = "a", tenant: str = "default") -> bytes:
    return f"# A comment\nversion: 1\nname:   {name}  # whose\ntenant: {tenant}\n\ndescription: {words}\r\n".encode()


async def put(
    store: Store, written: bytes, expected: int | None = None, name: str = "a", tenant: str = "default"
) -> int:
    return await store.documents.put(tenant, name, written, expected=expected, author="anna", action="apply")


async def test_what_is_written_is_a_file_that_a_gateway_reads_as_it_was_written(store: Store, tmp_path: Path) -> None:
    assert await put(store, text("größer 🗝"), 0) == 1
    assert (tmp_path / "a.yaml").read_bytes() == text("größer 🗝")
    (kept,) = await store.documents.list("default")
    assert (kept.name, kept.version, kept.text, kept.author) == ("a", 1, text("größer 🗝"), "anna")
    (read,) = (await open_source(f"files:{tmp_path}").read()).documents
    assert (read.key, read.text, read.tenant) == ("a.yaml", text("größer 🗝"), None)
    assert [each for each in os.listdir(tmp_path) if not each.startswith(".portico")] == ["a.yaml"]


async def test_a_document_stays_in_the_file_that_it_was_found_in(store: Store, tmp_path: Path) -> None:
    (tmp_path / "10-first.yml").write_bytes(text("by hand"))
    (tmp_path / "b.json").write_text('{\n"version": 1, "name": "b"\n}')
    await put(store, text("changed"))
    await put(store, b'{"version": 1,\n"name": "b"}', name="b")
    with pytest.raises(StoreError, match="is not JSON"):
        await put(store, text("yaml", "b"), name="b")
    assert sorted(os.listdir(tmp_path)) == [".portico", "10-first.yml", "b.json"]
    assert (tmp_path / "10-first.yml").read_bytes() == text("changed")


async def test_an_edit_by_hand_becomes_a_version_by_file(store: Store, tmp_path: Path) -> None:
    await put(store, text("one"), 0)
    (tmp_path / "a.yaml").write_bytes(text("two"))
    (tmp_path / "b.yaml").write_bytes(text("new", "b"))
    found = await store.documents.versions("default", "a")
    assert [(each.number, each.author, each.action) for each in found] == [(2, "file", "edit"), (1, "anna", "apply")]
    assert (await store.documents.get("default", "b")).author == "file"
    assert await store.documents.text("default", "a", 1) == text("one")
    (tmp_path / "b.yaml").unlink()
    assert [kept.name for kept in await store.documents.list("default")] == ["a"]
    assert (await store.documents.versions("default", "b"))[0].action == "delete"


async def test_whoever_changes_what_was_edited_by_hand_meanwhile_is_refused(store: Store, tmp_path: Path) -> None:
    await put(store, text("one"), 0)
    (tmp_path / "a.yaml").write_bytes(text("by hand"))
    for change in (
        put(store, text("lost"), 1),
        store.documents.delete("default", "a", expected=1, author="bob"),
        store.documents.rollback("default", "a", 1, expected=1, author="bob"),
    ):
        with pytest.raises(Conflict) as error:
            await change
        assert (error.value.expected, error.value.current) == (1, 2)
    assert (tmp_path / "a.yaml").read_bytes() == text("by hand")


async def test_a_file_is_missed_only_when_no_other_may_be_it(store: Store, tmp_path: Path) -> None:
    await put(store, text("one"), 0)
    (tmp_path / "a.yaml").write_text("nothing: is said\n")
    assert len(await store.documents.versions("default", "a")) == 1
    (tmp_path / "a.yaml").write_bytes(text("half of it\nbroken: [", "a"))
    assert (await store.documents.get("default", "a")).version == 2


async def test_a_rollback_and_a_deletion_change_the_file(store: Store, tmp_path: Path) -> None:
    await put(store, text("one"), 0)
    await put(store, text("two"), 1)
    assert await store.documents.rollback("default", "a", 1, expected=2, author="bob") == 3
    assert (tmp_path / "a.yaml").read_bytes() == text("one")
    await store.documents.delete("default", "a", expected=3, author="bob")
    assert not (tmp_path / "a.yaml").exists()
    with pytest.raises(Missing):
        await store.documents.delete("default", "a", expected=None, author="bob")
    assert await store.documents.rollback("default", "a", 2, expected=0, author="bob") == 5
    assert (tmp_path / "a.yaml").read_bytes() == text("two")
    told = await store.audit.list("default")
    assert [each.action for each in told] == ["rollback", "delete", "rollback", "apply", "apply"]


async def test_a_text_says_itself_whose_it_is(store: Store, tmp_path: Path) -> None:
    for written in (text("x", "b"), text("x", "a", "acme"), b"name: 1", b"\xff", b"- name: a"):
        with pytest.raises(StoreError, match="does not say that it is the document a") as error:
            await put(store, written)
        assert "name: a" in error.value.mend
    assert os.listdir(tmp_path) == [".portico"]
    assert await put(store, text("x", "a", "acme"), tenant="acme") == 1
    assert (tmp_path / "acme.a.yaml").exists()
    assert [kept.name for kept in await store.documents.list("acme")] == ["a"]


async def test_another_file_is_not_overwritten(store: Store, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(text("other", "other"))
    with pytest.raises(StoreError, match=r"a\.yaml is there and is not the document a"):
        await put(store, text("one"))
    assert (tmp_path / "a.yaml").read_bytes() == text("other", "other")


async def test_a_link_stays_a_link(store: Store, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/a.yaml").write_bytes(text("one"))
    (tmp_path / "a.yaml").symlink_to("elsewhere/a.yaml")
    await put(store, text("two"), 1)
    assert (tmp_path / "a.yaml").is_symlink()
    assert (tmp_path / "elsewhere/a.yaml").read_bytes() == text("two")


async def test_a_file_that_cannot_be_written_leaves_everything_as_it_was(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(store, text("one"), 0)

    def full(*_: object) -> None:
        raise StoreError("the document cannot be written: No space left on device", "Make room")

    monkeypatch.setattr(documents_module, "write", full)
    with pytest.raises(StoreError, match="No space left"):
        await put(store, text("two"), 1)
    assert (await store.documents.get("default", "a")).version == 1
    assert len(await store.audit.list("default")) == 1


async def test_a_gateway_reads_the_keys_and_secrets_that_lie_beside(store: Store, tmp_path: Path) -> None:
    source = FilesSource(tmp_path)
    seen = [await source.revision()]
    assert (await source.read()).keys == ()
    await store.keys.add(StoredKey("default", "k", "0" * 64, "abcd", (), (), created=0), author="anna")
    seen.append(await source.revision())
    await store.secrets.put("default", "TOKEN", b"sealed", "key", author="anna")
    seen.append(await source.revision())
    await store.tenants.put("acme", "/acme", author="anna")
    seen.append(await source.revision())
    contents = await source.read()
    assert ([key.name for key in contents.keys], [secret.name for secret in contents.secrets]) == (["k"], ["TOKEN"])
    assert [tenant.prefix for tenant in contents.tenants] == ["/acme"]
    assert contents == source.contents
    assert len(set(seen)) == len(seen)
    assert await source.revision() == seen[-1]
    await source.close()


async def test_what_lies_beside_is_for_its_owner_alone_and_no_business_of_git(store: Store, tmp_path: Path) -> None:
    await put(store, text("one"), 0)
    assert (tmp_path / ".portico").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / ".portico/store.db").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / ".portico/.gitignore").read_text() == "*\n"


async def test_a_directory_that_was_only_read_is_left_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(text("one"))
    source = FilesSource(tmp_path)
    await source.read()
    await source.close()
    assert os.listdir(tmp_path) == ["a.yaml"]


async def test_a_directory_that_takes_no_folder_says_so(store: Store, tmp_path: Path) -> None:
    (tmp_path / ".portico").write_text("")
    for asked in (store.documents.list("default"), put(store, text("one")), store.keys.list()):
        with pytest.raises(StoreError, match="where versions, keys and secrets lie, cannot be made") as error:
            await asked
        assert str(tmp_path) in error.value.mend


async def test_what_is_beside_may_be_thrown_away(store: Store, tmp_path: Path) -> None:
    await put(store, text("one"), 0)
    source = FilesSource(tmp_path)
    await source.read()
    for path in (tmp_path / ".portico").iterdir():
        path.unlink()
    assert [each.text for each in (await source.read()).documents] == [text("one")]
    await source.close()


async def test_a_tenant_goes_with_its_files_or_not_at_all(store: Store, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_bytes(text("one", "a", "acme"))
    await put(store, text("one"), 0)
    assert [(each.name, each.documents) for each in await store.tenants.list()] == [("acme", 1), ("default", 1)]
    with pytest.raises(StoreError, match="still has 1 documents"):
        await store.tenants.delete("acme", author="anna")
    assert (tmp_path / "mine.yaml").exists()
    await store.tenants.delete("acme", author="anna", force=True)
    assert sorted(os.listdir(tmp_path)) == [".portico", "a.yaml"]
    assert [each.name for each in await store.tenants.list()] == ["default"]
    with pytest.raises(Missing):
        await store.documents.versions("acme", "a")


WRITER = """
import asyncio, sys
from portico.store.open import open_store
from portico.store.store import Conflict

async def main():
    store = open_store(sys.argv[1])
    for number in range(int(sys.argv[3])):
        while True:
            try:
                version = (await store.documents.get("default", "a")).version
                text = f"name: a\\ndescription: {sys.argv[2]} {number}\\n".encode()
                done = await store.documents.put("default", "a", text, expected=version, author=sys.argv[2], action="x")
                print(done, flush=True)
                break
            except Conflict:
                pass
    await store.close()

asyncio.run(main())
"""


def writing(directory: Path, name: str, times: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, f"files:{directory}", name, str(times)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


async def test_writers_at_once_lose_nothing(store: Store, tmp_path: Path) -> None:
    await put(store, b"name: a\n", 0)
    writers = [writing(tmp_path, f"writer-{number}", 10) for number in range(4)]
    said = [await asyncio.to_thread(writer.communicate, timeout=100) for writer in writers]
    acknowledged = sorted(int(line) for out, _ in said for line in out.split())
    assert acknowledged == list(range(2, 42))
    found = await store.documents.versions("default", "a")
    assert [each.number for each in found] == list(range(41, 0, -1))
    assert {each.author for each in found} == {"anna", *(f"writer-{number}" for number in range(4))}


async def test_a_writer_that_is_killed_leaves_its_change_whole_or_not_at_all(store: Store, tmp_path: Path) -> None:
    await put(store, b"name: a\n", 0)
    last = 1
    for attempt in range(6):
        writer = writing(tmp_path, f"writer-{attempt}", 1000)
        assert writer.stdout is not None
        try:
            for _ in range(1 + 3 * attempt):
                last = int(await asyncio.to_thread(writer.stdout.readline))
        finally:
            writer.kill()
        last = max([last, *map(int, writer.stdout.read().split())])
        writer.wait()
        kept = await store.documents.get("default", "a")
        assert kept.text == (tmp_path / "a.yaml").read_bytes()
        assert last <= kept.version <= last + 1
        assert [each.number for each in await store.documents.versions("default", "a")][:3] == [
            kept.version - back for back in range(min(3, kept.version))
        ]
        last = kept.version


async def everything(store: Store) -> tuple[Stamp, list[Row]]:
    stamp, *rows = [each async for each in store.rows.read()]
    assert isinstance(stamp, Stamp)
    return stamp, [row for row in rows if isinstance(row, Row)]


async def test_a_backup_is_restored_into_an_empty_directory_or_in_place_of_what_is_there(
    store: Store, tmp_path: Path
) -> None:
    await put(store, text("one"), 0)
    stamp, rows = await everything(store)
    (tmp_path / "b.yaml").write_bytes(text("later", "b"))
    with pytest.raises(StoreError, match="is not empty"):
        await store.rows.restore(stamp, rows, replace=False, author="anna")
    await store.rows.restore(stamp, rows, replace=True, author="anna")
    assert sorted(os.listdir(tmp_path)) == [".portico", "a.yaml"]
    assert [each.author for each in await store.documents.versions("default", "a")] == ["anna"]


async def test_a_backup_with_a_text_that_is_another_ones_changes_nothing(store: Store, tmp_path: Path) -> None:
    await put(store, text("one"), 0)
    stamp, rows = await everything(store)
    strange = [
        dataclasses.replace(row, values=row.values | {"tenant": "acme"}) if row.table == "documents" else row
        for row in rows
    ]
    with pytest.raises(StoreError, match="does not say that it is the document a of the tenant acme"):
        await store.rows.restore(stamp, strange, replace=True, author="anna")
    assert (tmp_path / "a.yaml").read_bytes() == text("one")
    assert [kept.name for kept in await store.documents.list("default")] == ["a"]
