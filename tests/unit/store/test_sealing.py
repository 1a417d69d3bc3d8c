"""The seal of secrets: what it opens, and all that it does not."""

import stat
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico.store.records import SealedSecret
from portico.store.sealing import (
    MOST_KEYS,
    KeyRing,
    Unsealable,
    judge_secret_name,
    new_keys,
    read_keys,
    write_keys,
)
from portico.store.store import StoreError

RING = new_keys(Path("keys"))


def sealed(value: str, tenant: str = "acme", name: str = "TOKEN", ring: KeyRing = RING) -> SealedSecret:
    data, key_id = ring.seal(tenant, name, value)
    return SealedSecret(tenant, name, data, key_id, 0)


@given(st.text())
def test_what_was_sealed_opens_as_it_was_and_differs_each_time(value: str) -> None:
    first, second = sealed(value), sealed(value)
    assert RING.open(first) == RING.open(second) == value
    assert first.sealed != second.sealed
    assert len(value) < 4 or value.encode() not in first.sealed


@given(st.data())
def test_no_byte_can_be_changed_added_or_left_away(data: st.DataObject) -> None:
    whole = sealed("a secret").sealed
    place = data.draw(st.integers(0, len(whole) - 1))
    flipped = bytearray(whole)
    flipped[place] ^= data.draw(st.integers(1, 255))
    for changed in (bytes(flipped), whole[:place], whole + b"\0"):
        with pytest.raises(Unsealable) as refused:
            RING.open(replace(sealed(""), sealed=changed))
        assert "a secret" not in str(refused.value)


@pytest.mark.parametrize("moved", [{"tenant": "other"}, {"name": "OTHER"}, {"tenant": "acme\0TOKEN", "name": ""}])
def test_a_secret_cannot_be_passed_off_as_another(moved: dict[str, str]) -> None:
    with pytest.raises(Unsealable, match="sealed as another secret"):
        RING.open(replace(sealed("a"), **moved))


def test_the_first_key_seals_and_all_open(tmp_path: Path) -> None:
    old = new_keys(tmp_path / "keys")
    before = sealed("before", ring=old)
    ring = old.with_new()
    after = sealed("after", ring=ring)
    assert (ring.open(before), ring.open(after)) == ("before", "after")
    assert after.key_id == ring.ids[0] != before.key_id
    with pytest.raises(Unsealable, match="which is not in"):
        old.open(after)
    assert ring.keeping({after.key_id}).ids == ring.ids[:1]
    assert ring.keeping(set()).ids == ring.ids[:1]


def test_a_key_of_another_id_is_no_way_in() -> None:
    foreign = new_keys(Path("other"))
    with pytest.raises(Unsealable):
        RING.open(replace(sealed("a", ring=foreign), key_id=RING.ids[0]))


def test_the_file_is_its_owners_alone_and_reads_as_it_was_written(tmp_path: Path) -> None:
    ring = KeyRing(tmp_path / "state" / "keys", RING.keys).with_new()
    write_keys(ring, new=True)
    assert stat.S_IMODE(ring.file.stat().st_mode) == 0o600
    assert stat.S_IMODE(ring.file.parent.stat().st_mode) == 0o700
    assert read_keys(ring.file) == ring
    with pytest.raises(StoreError, match="meanwhile"):
        write_keys(ring, new=True)
    write_keys(ring.keeping(()))
    found = read_keys(ring.file)
    assert found is not None
    assert found.ids == ring.ids[:1]
    assert [path.name for path in ring.file.parent.iterdir()] == ["keys"]


def test_a_file_that_is_not_there_is_none(tmp_path: Path) -> None:
    assert read_keys(tmp_path / "keys") is None


@pytest.mark.parametrize("mode", [0o604, 0o644, 0o620, 0o601, 0o666])
def test_a_file_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    ring = KeyRing(tmp_path / "keys", RING.keys)
    write_keys(ring)
    ring.file.chmod(mode)
    with pytest.raises(StoreError, match="chmod 600"):
        read_keys(ring.file)
    # As Kubernetes mounts a secret for a group.
    ring.file.chmod(0o440)
    assert read_keys(ring.file) == ring


@given(st.binary(max_size=200))
def test_a_file_of_anything_else_is_refused_and_not_shown(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    file = tmp_path_factory.mktemp("keys") / "keys"
    file.touch(0o600)
    file.write_bytes(data)
    with pytest.raises(StoreError) as refused:
        read_keys(file)
    assert not data.strip() or len(data) < 8 or data.decode("ascii", "replace") not in str(refused.value)


def test_a_damaged_key_is_refused_by_its_line_and_not_shown(tmp_path: Path) -> None:
    ring = KeyRing(tmp_path / "keys", RING.keys)
    write_keys(ring)
    head, line = ring.file.read_text().splitlines()
    name, id, key = line.split()
    other = ("A" if key[0] != "A" else "B") + key[1:]
    for damaged in (f"{name} {id} {other}", f"{name} {id} {key[:-4]}", f"{name} {id[::-1]}x {key}"):
        ring.file.write_text(f"{head}\n{damaged}\n")
        with pytest.raises(StoreError, match="line 2 of the key file") as refused:
            read_keys(ring.file)
        assert key[5:30] not in str(refused.value)


def test_keys_do_not_grow_for_ever(tmp_path: Path) -> None:
    ring = KeyRing(tmp_path / "keys", RING.keys * MOST_KEYS)
    with pytest.raises(StoreError, match="keys already"):
        ring.with_new()


def test_a_key_is_not_in_what_is_printed_of_it() -> None:
    assert str(RING.keys[0].key) not in repr(RING)


@pytest.mark.parametrize("name", ["", "9A", "a-b", "a b", "a" * 64, "../a", "a\n", "é"])
def test_a_name_that_no_document_could_read_is_refused(name: str) -> None:
    with pytest.raises(StoreError, match="cannot be the name of a secret"):
        judge_secret_name(name)
    judge_secret_name("_Token9")
