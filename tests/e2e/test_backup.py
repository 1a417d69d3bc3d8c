"""Backups from each kind of database into each other kind, by the command line, and what a gateway makes of them."""

import asyncio
import functools
import gzip
import hashlib
import json
import shutil
import stat
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.conversation import BOTH, modern_request, result_of
from tests.e2e.desk import Desk
from tests.e2e.processes import Gateway, gateway, post, until
from tests.fakes import rest
from tests.fakes.databases import STORES, Kind, made

from portico.apps.migrate import migrate
from portico.settings import Settings
from portico.store.open import open_store
from portico.store.records import StoredKey
from portico.store.store import Store

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

SECRET = "p0rtic0-secret-of-a-backup"

DOCUMENT = """# As it was written: größer 🗝
version: 1
name: a
routers: [{prefix: /a, server: a, auth: {mode: apiKey}}]
servers: [{name: a}]
tools:
  - {name: ask, description: "MARKER", request: {url: "URL/ask", headers: {x-token: "{{ secrets.TOKEN }}"}}}
"""


def bare(name: str, more: str = "") -> str:
    return f"version: 1\nname: {name}\nrouters: [{{prefix: /{name}, server: a}}]\nservers: [{{name: a}}]\n{more}"


def shown(marker: str) -> str:
    return bare("a", f'resources: [{{uri: "test://{marker}", name: marker, text: "{marker}"}}]\n')


@dataclass
class Source:
    """A store with a past, its backup, and a key that opens its endpoint."""

    desk: Desk
    backup: Path
    key: str
    kept: dict[str, Any]


@pytest.fixture(scope="module")
def called() -> Iterator[rest.Rest]:
    with rest.in_a_thread() as running:
        yield running


@pytest.fixture(scope="module")
def kinds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Kind]]:
    with ExitStack() as stack:
        found = {kind: stack.enter_context(made(kind, tmp_path_factory.mktemp(kind))) for kind in STORES}
        for kind in found.values():
            for url in (kind.url, kind.empty):
                migrate(Settings(store=url))
        yield found


@pytest.fixture(scope="module")
def sources(
    kinds: dict[str, Kind], called: rest.Rest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Source]:
    @functools.cache
    def source(kind: str) -> Source:
        directory = tmp_path_factory.mktemp(f"from-{kind}")
        desk = Desk(kinds[kind].url, directory, SECRET)
        key = filled(desk, called.url)
        assert "keep a copy of it elsewhere" in desk.done("backup", "backup")
        return Source(desk, directory / "backup", key, on(desk.url, kept))

    return source


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    found = Desk(f"sqlite:{tmp_path}/a.db", tmp_path, SECRET)
    found.done("migrate")
    return found


def filled(desk: Desk, url: str) -> str:
    """A store with a past, and a key that opens its endpoint."""

    async def fill(store: Store) -> None:
        for marker in ("first", "second", "third"):
            await put(store, "a", DOCUMENT.replace("MARKER", marker).replace("URL", url))
        await store.documents.rollback("default", "a", 2, expected=3, author="bob")
        await put(store, "gone", bare("gone"))
        await store.documents.delete("default", "gone", expected=1, author="anna")
        await put(store, "b", bare("b", "tenant: other\n"), "other")
        await store.tenants.put("other", "/b", author="anna")
        for name in ("revoked", "far"):
            digest = hashlib.sha256(name.encode()).hexdigest()
            stored = StoredKey("default", name, digest, "abcd", ("/b",), ("get_*",), created=0, expires=10**13)
            await store.keys.add(stored, author="anna")
        await store.keys.revoke("default", "revoked", author="anna")

    on(desk.url, fill)
    desk.done("secret", "set", "TOKEN", given=SECRET)
    return desk.done("key", "create", "works", "--endpoint", "/a").strip()


async def put(store: Store, name: str, text: str, tenant: str = "default") -> int:
    return await store.documents.put(tenant, name, text.encode(), expected=None, author="anna", action="apply")


async def kept(store: Store) -> dict[str, Any]:
    """Everything that it keeps, and the past: versions with their texts, and the audit of all but the restoring."""
    versions = {name: await store.documents.versions("default", name) for name in ("a", "gone")}
    return {
        **versions,
        "documents": [*await store.documents.list("default"), *await store.documents.list("other")],
        "texts": [await store.documents.text("default", "a", each.number) for each in versions["a"]],
        "audit": await audit(store),
        "tenants": await store.tenants.list(),
        "keys": await store.keys.list(),
        "secrets": await store.secrets.list(),
    }


async def audit(store: Store) -> list[Any]:
    events = [*await store.audit.list("default"), *await store.audit.list("other")]
    return [each for each in events if each.action != "restore"]


def on(url: str, what: Callable[[Store], Coroutine[Any, Any, Any]]) -> Any:
    async def work() -> Any:
        store = open_store(url)
        try:
            return await what(store)
        finally:
            await store.close()

    return asyncio.run(work())


def names(desk: Desk) -> list[str]:
    return [each["name"] for each in desk.data("config", "list")]  # type: ignore[attr-defined]


def served(running: Gateway) -> list[str]:
    request = modern_request("resources/list")
    request["headers"]["accept"] = BOTH
    return [each["uri"] for each in result_of(post(f"{running.url}/a/mcp", **request))["resources"]]


def asked(running: Gateway, key: str) -> str:
    """What the tool's call came to: its answer, or the status of a refusal."""
    request = modern_request("tools/call", {"name": "ask", "arguments": {}})
    request["headers"] |= {"accept": BOTH, "x-api-key": key}
    answer = post(f"{running.url}/a/mcp", **request)
    if answer.status_code != 200:
        return str(answer.status_code)
    return "an error" if result_of(answer).get("isError") else "answered"


@pytest.mark.parametrize("target", STORES)
@pytest.mark.parametrize("source", STORES)
def test_a_backup_of_each_kind_is_the_same_in_each_other(
    kinds: dict[str, Kind],
    sources: Callable[[str], Source],
    called: rest.Rest,
    source: str,
    target: str,
    tmp_path: Path,
) -> None:
    before = sources(source)
    after = Desk(kinds[target].empty, tmp_path, SECRET)
    # What the restoring before this one left makes room.
    assert "bring it to every gateway" in after.done("restore", str(before.backup), "--replace")
    # The key file comes there by other ways than the backup.
    after.key_file.parent.mkdir(parents=True)
    shutil.copy(before.desk.key_file, after.key_file)
    assert on(after.url, kept) == before.kept
    with gateway(tmp_path, after.url, "--copy", "off", env=after.environment) as running:
        assert asked(running, before.key) == "answered"
        assert called.requests[-1].headers["x-token"] == SECRET
        assert asked(running, before.key[:-1] + ("a" if before.key[-1] != "a" else "b")) == "401"
    # And it is a store like any other: what counts up goes on counting.
    on(after.url, goes_on)


async def goes_on(store: Store) -> None:
    assert await store.documents.rollback("default", "a", 1, expected=4, author="bob") == 5
    assert await put(store, "new", bare("new")) == 1


def test_a_backup_is_a_new_file_for_its_owner_alone(desk: Desk) -> None:
    desk.done("config", "apply", desk.write("a.yaml", bare("a")))
    desk.done("secret", "set", "TOKEN", given=SECRET)
    told = desk.data("backup", "backup")
    assert told["counts"] == {"documents": 1, "versions": 1, "audit": 2, "secrets": 1}  # type: ignore[index]
    file = desk.directory / "backup"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    lines = gzip.decompress(file.read_bytes()).decode()
    assert bare("a") in [json.loads(line).get("values", {}).get("text", {}).get("text") for line in lines.splitlines()]
    assert SECRET not in lines
    whole = file.read_bytes()
    refused = desk("backup", "backup")
    assert refused.returncode == 2
    assert "backup is there already. Name another file" in refused.stderr
    assert file.read_bytes() == whole
    assert desk("backup", "gone/backup").returncode == 2
    desk("backup", "another", PORTICO_STORE=f"sqlite:{desk.directory}/gone.db")
    assert {each.name for each in desk.directory.iterdir()} == {"a.db", "a.yaml", "backup", "state"}


def test_a_backup_goes_into_an_empty_store_or_in_place_of_everything(desk: Desk) -> None:
    desk.done("config", "apply", desk.write("a.yaml", bare("a")))
    desk.done("backup", "backup")
    desk.done("config", "apply", desk.write("b.yaml", bare("b")))
    refused = desk("restore", "backup")
    assert refused.returncode == 2
    assert "is not empty" in refused.stderr
    assert "--replace" in refused.stderr
    assert names(desk) == ["a", "b"]
    desk.done("restore", "backup", "--replace")
    assert names(desk) == ["a"]
    fresh = f"sqlite:{desk.directory}/fresh.db"
    assert "portico migrate" in desk("restore", "backup", PORTICO_STORE=fresh).stderr
    assert desk("migrate", PORTICO_STORE=fresh).returncode == 0
    assert desk("restore", "backup", PORTICO_STORE=fresh).returncode == 0
    assert names(Desk(fresh, desk.directory)) == ["a"]


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda data: data[: len(data) // 2], "ends too early"),
        (lambda data: data[:40] + bytes([data[40] ^ 1]) + data[41:], "is no whole backup"),
        (lambda data: b"version: 1\n", "Not a gzipped file"),
        (lambda data: b"", "ends too early"),
        (lambda data: packed(lines(data)[:-1]), "ends too early, after line"),
        (lambda data: packed([*lines(data)[:3], *lines(data)[4:]]), "its digest is not that of its lines"),
        (lambda data: packed([each.replace(b"anna", b"eve") for each in lines(data)]), "its digest"),
        (lambda data: packed([*lines(data), lines(data)[1]]), "does not belong there"),
        (lambda data: packed([b"x" * (8 * 1024 * 1024 + 1)]), "longer than 8 MiB"),
        (lambda data: packed([b'{"line":"row","table":"documents","values":{}}']), "line 1 does not belong there"),
        (lambda data: packed([b"{}"]), "line 1: "),
        (lambda data: signed(data, b'"form":1', b'"form":2'), "the form 2"),
        (lambda data: signed(data, b'"schema":1', b'"schema":2'), "of schema 2"),
        (lambda data: signed(data, b'"name":"a"', b'"name":"../a"'), "cannot be the name of a document"),
        (lambda data: signed(data, b'"table":"audit"', b'"table":"users"'), "is not one that this program knows"),
        (lambda data: signed(data, b'"size":', b'"size":-0.5e1,"other":'), "line "),
        (lambda data: signed(data, b'"author":"anna"', b'"author":5'), "author of a row of"),
        (lambda data: signed(data, b'"number":1', b'"number":null'), "number of a row of"),
        (lambda data: signed(data, b"version: 1", b"version: 2"), "is not what its digest says"),
        (lambda data: signed(data, b'"document":1', b'"document":7'), "a version is there without its document"),
        (lambda data: signed(data, b'"endpoints":"[]"', b'"endpoints":"7"'), "is no list"),
    ],
)
def test_a_backup_that_is_not_whole_changes_nothing(
    one: bytes, empty: Desk, damage: Callable[[bytes], bytes], said: str
) -> None:
    (empty.directory / "backup").write_bytes(damage(one))
    before = on(empty.url, lambda store: store.read())
    refused = empty("restore", "backup")
    assert refused.returncode == 2
    assert said in refused.stderr
    assert "Traceback" not in refused.stderr
    assert on(empty.url, lambda store: store.read()) == before
    assert on(empty.url, audit) == []


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    directory = tmp_path_factory.mktemp("empty")
    found = Desk(f"sqlite:{directory}/a.db", directory)
    found.done("migrate")
    return found


BY: dict[str, Any] = {"expected": None, "author": "anna", "action": "apply"}


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A backup of a small store."""
    directory = tmp_path_factory.mktemp("one")
    desk = Desk(f"sqlite:{directory}/a.db", directory, SECRET)
    desk.done("migrate")
    on(desk.url, lambda store: store.documents.put("default", "a", bare("a").encode(), **BY))
    desk.done("key", "create", "k")
    desk.done("backup", "backup")
    return (directory / "backup").read_bytes()


def lines(data: bytes) -> list[bytes]:
    return gzip.decompress(data).splitlines()


def packed(found: list[bytes]) -> bytes:
    return gzip.compress(b"\n".join(found) + b"\n")


def signed(data: bytes, old: bytes, new: bytes) -> bytes:
    """As somebody would write it who knows how it is made."""
    changed = [line.replace(old, new) for line in lines(data)[:-1]]
    assert changed != lines(data)[:-1]
    end = json.loads(lines(data)[-1])
    end["digest"] = hashlib.sha256(b"".join(line + b"\n" for line in changed)).hexdigest()
    end["counts"] = dict(Counter(json.loads(line)["table"] for line in changed[1:]))
    return packed([*changed, json.dumps(end).encode()])


def test_a_running_gateway_serves_what_was_restored(desk: Desk) -> None:
    """Also where a document has a version again that the gateway knows with another text."""
    desk.done("config", "apply", desk.write("a.yaml", shown("first")))
    desk.done("backup", "backup")
    desk.done("config", "apply", desk.write("a.yaml", shown("second")))
    with gateway(desk.directory, desk.url, "--poll", "0.2", "--copy", "off") as running:
        assert served(running) == ["test://second"]
        desk.done("restore", "backup", "--replace")
        until(lambda: served(running) == ["test://first"], "what was restored")
        assert "a: version 2" in desk.done("config", "apply", desk.write("a.yaml", shown("third")))
        until(lambda: served(running) == ["test://third"], "the version that is another one")
