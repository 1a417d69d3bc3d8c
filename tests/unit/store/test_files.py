"""The files store: what counts as a document, what one bad file may do, and how files are written."""

import os
import threading
from pathlib import Path

import pytest

from portico.store.files import directory
from portico.store.files.directory import write as write_document
from portico.store.files.source import FilesSource
from portico.store.open import open_source
from portico.store.store import StoreError

pytestmark = pytest.mark.anyio


def write(path: Path, text: str = "name: a") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


async def test_only_documents_directly_in_the_directory_count(tmp_path: Path) -> None:
    for name in ("a.yaml", "b.yml", "c.json", ".d.yaml", "e.txt", "f.YAML", "sub/g.yaml", ".portico/h.yaml"):
        write(tmp_path / name)
    (tmp_path / "directory.yaml").mkdir()
    assert [text.key for text in (await FilesSource(tmp_path).read()).documents] == ["a.yaml", "b.yml", "c.json"]


async def test_a_missing_directory_is_an_error_that_says_so(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be read: No such file"):
        open_source(f"files:{tmp_path}/gone")
    (tmp_path / "x").mkdir()
    store = FilesSource(tmp_path / "x")
    (tmp_path / "x").rmdir()
    with pytest.raises(StoreError, match="No such file"):
        await store.read()
    with pytest.raises(StoreError, match="No such file"):
        await store.revision()
    with pytest.raises(StoreError, match="cannot be written"):
        write_document(tmp_path / "x/a.yaml", b"x")


@pytest.mark.parametrize("url", ["oracle:a.db", "files", "files:", "", "postgres://host"])
def test_a_store_that_is_not_built_is_an_error_that_says_what_is(url: str) -> None:
    with pytest.raises(StoreError) as error:
        open_source(url)
    assert "files:DIR" in error.value.mend


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
async def test_a_file_without_rights_is_an_error_of_that_file_alone(tmp_path: Path) -> None:
    write(tmp_path / "a.yaml").chmod(0)
    write(tmp_path / "b.yaml")
    first, second = (await FilesSource(tmp_path).read()).documents
    assert first.text is None
    assert "Permission denied" in (first.error or "")
    assert second.text == b"name: a"


async def test_what_cannot_be_read_is_an_error_of_that_file_alone(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").symlink_to("a.yaml")
    (tmp_path / "b.yaml").symlink_to("gone.yaml")
    os.mkfifo(tmp_path / "c.yaml")
    write(tmp_path / "d.yaml", "x" * (1024 * 1024 + 1))
    write(tmp_path / "e.yaml")
    found = {text.key: text for text in (await FilesSource(tmp_path).read()).documents}
    assert "Too many levels" in (found["a.yaml"].error or "")
    assert found["b.yaml"].error == "the link leads nowhere"
    assert found["c.yaml"].error == "this is not a file"
    assert found["d.yaml"].error == "the file is larger than 1 MiB"
    assert found["e.yaml"].text == b"name: a"
    assert all(found[key].text is None for key in ("a.yaml", "b.yaml", "c.yaml", "d.yaml"))


async def test_a_swap_of_kubernetes_is_seen_and_followed(tmp_path: Path) -> None:
    for number in (1, 2):
        target = write(tmp_path / f"..{number}/a.yaml", f"name: a{number}")
        os.utime(target, ns=(10**18, 10**18))
    (tmp_path / "..data").symlink_to("..1")
    (tmp_path / "a.yaml").symlink_to("..data/a.yaml")
    store = FilesSource(tmp_path)
    before = await store.revision()
    assert [text.text for text in (await store.read()).documents] == [b"name: a1"]
    (tmp_path / "..new").symlink_to("..2")
    (tmp_path / "..new").rename(tmp_path / "..data")
    assert [text.text for text in (await store.read()).documents] == [b"name: a2"]
    assert await store.revision() != before


async def test_the_number_of_files_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(directory, "MAX_FILES", 2)
    for name in ("a.yaml", "b.yaml", "c.yaml"):
        write(tmp_path / name)
    found = (await FilesSource(tmp_path).read()).documents
    assert [text.text for text in found] == [b"name: a", b"name: a", None]
    assert "more than 2 documents" in (found[2].error or "")


async def test_an_edit_by_hand_changes_the_revision(tmp_path: Path) -> None:
    file = write(tmp_path / "a.yaml", "name: a")
    os.utime(file, ns=(10**18, 10**18))
    store = FilesSource(tmp_path)
    seen = {await store.revision()}
    os.utime(file, ns=(10**18, 10**18 + 1))
    seen.add(await store.revision())
    file.rename(tmp_path / "b.yaml")
    seen.add(await store.revision())
    write(tmp_path / ".a.yaml.swp")
    seen.add(await store.revision())
    assert len(seen) == 3


def test_a_reader_sees_the_old_text_or_the_new_one(tmp_path: Path) -> None:
    old, new = b"a" * 500_000, b"b" * 500_000
    write_document(tmp_path / "a.yaml", old)
    seen: set[bytes] = set()
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            seen.add((tmp_path / "a.yaml").read_bytes())

    reader = threading.Thread(target=read)
    reader.start()
    for text in (new, old) * 10:
        write_document(tmp_path / "a.yaml", text)
    done.set()
    reader.join(timeout=10)
    assert seen <= {old, new}


def test_writing_leaves_nothing_behind_and_keeps_the_rights(tmp_path: Path) -> None:
    write_document(tmp_path / "a.yaml", b"one")
    assert (tmp_path / "a.yaml").stat().st_mode & 0o777 == 0o666 & ~_umask()
    (tmp_path / "a.yaml").chmod(0o640)
    write_document(tmp_path / "a.yaml", b"two")
    assert (tmp_path / "a.yaml").stat().st_mode & 0o777 == 0o640
    assert os.listdir(tmp_path) == ["a.yaml"]


def test_a_write_that_fails_leaves_the_old_text_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_document(tmp_path / "a.yaml", b"one")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match="No space left"):
        write_document(tmp_path / "a.yaml", b"two")
    assert os.listdir(tmp_path) == ["a.yaml"]
    assert (tmp_path / "a.yaml").read_bytes() == b"one"


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
