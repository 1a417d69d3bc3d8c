"""A gateway that polls once in an hour, and what it is told meanwhile: it looks at once, but not for every message."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.gateway import Gateway, running
from tests.interaction.documents import USERS

from portico.gateway.runtime import reload
from portico.store.files.source import FilesSource

pytestmark = pytest.mark.anyio

WAIT = 10.0


async def until(look: Callable[[], Any]) -> None:
    async with asyncio.timeout(WAIT):
        while not look():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def told(gateway: Gateway, body: object, **headers: str) -> Any:
    sent = {"Content-Type": "application/json", **headers}
    return await gateway.send("POST", "/notify", sent, json.dumps(body).encode(), port=gateway.admin_port)


def changed(gateway: Gateway, title: str) -> None:
    gateway.write("users.yaml", USERS.replace("title: Users", f"title: {title}"))


def reloads(gateway: Gateway) -> int:
    return gateway.worker.world.reloader.reloads


class Looks:
    """A store that counts how often it is looked at."""

    def __init__(self, directory: Path) -> None:
        self._store = FilesSource(directory)
        self.count = 0

    async def revision(self) -> str:
        self.count += 1
        return await self._store.revision()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


@pytest.fixture
async def quiet(tmp_path: Path, ingress: str) -> AsyncIterator[Gateway]:
    """Without a notifier of its own, whose beginning is a reason to look."""
    async with running(tmp_path, {"users.yaml": USERS}, ingress=ingress, admin=True) as gateway:
        yield gateway


@pytest.fixture
def looks(quiet: Gateway) -> Looks:
    found = Looks(quiet.directory)
    quiet.worker.world.reloader._source = found  # type: ignore[assignment]
    return found


async def test_who_is_told_by_http_looks_at_once(changing: Gateway) -> None:
    before = reloads(changing)
    changed(changing, "Told")
    reply = await told(changing, {"revision": "unknown"})
    assert (reply.status, json.loads(reply.body)) == (202, {"workers": 1})
    await until(lambda: reloads(changing) == before + 1)


async def test_who_is_told_in_its_own_process_looks_at_once(changing: Gateway) -> None:
    before = reloads(changing)
    changed(changing, "Told")
    await changing.worker.world.local.announce("unknown")
    await until(lambda: reloads(changing) == before + 1)
    (standing,) = changing.worker.world.receivers.standings
    assert (standing.notifier, standing.up, standing.heard) == ("local:", True, 1)


async def test_all_workers_are_told_by_one_of_them(tmp_path: Path, ingress: str) -> None:
    documents, peers, key = tmp_path / "documents", tmp_path / "peers", b"k" * 32
    documents.mkdir()
    peers.mkdir()
    shared = {"ingress": ingress, "peers": peers, "key": key}
    async with (
        running(documents, {"users.yaml": USERS}, admin=True, **shared) as one,
        running(documents, {}, rest=one.rest, **shared) as other,
    ):
        before = reloads(one), reloads(other)
        changed(one, "Told")
        reply = await told(one, {"revision": ""})
        assert json.loads(reply.body) == {"workers": 2}
        await until(lambda: (reloads(one), reloads(other)) == (before[0] + 1, before[1] + 1))


async def test_a_revision_that_is_known_is_no_reason_to_look(quiet: Gateway, looks: Looks) -> None:
    known = await FilesSource(quiet.directory).revision()
    await told(quiet, {"revision": known})
    assert not quiet.worker.world.reloader._told.is_set()
    await told(quiet, {"revision": "another"})
    await until(lambda: looks.count)


@pytest.mark.parametrize(
    ("revision", "seen", "old"),
    [
        ("7", "7", True), ("6", "7", True), ("8", "7", False), ("10", "9", False), ("9", "10", True),
        ("", "7", False), ("", "", False), ("a1", "a1", True), ("a1", "a2", False), ("7", "", False),
    ],
)  # fmt: skip
def test_numbers_grow_and_other_revisions_are_the_same_or_not(revision: str, seen: str, old: bool) -> None:
    assert reload._is_old(revision, seen) is old


async def test_a_storm_of_notifications_is_few_looks(quiet: Gateway, looks: Looks) -> None:
    begun = time.monotonic()
    for number in range(200):
        await told(quiet, {"revision": f"forged-{number}"})
    await until(lambda: looks.count)
    spent = time.monotonic() - begun
    assert looks.count <= spent / reload.DEBOUNCE + 2
    assert reloads(quiet) == 1


async def test_a_message_that_says_more_than_a_revision_is_refused(quiet: Gateway, looks: Looks) -> None:
    for body in ({"revision": "1", "document": "version: 1"}, {}, [], "1", {"revision": 1}, {"revision": "a b"}):
        reply = await told(quiet, body)
        assert reply.status == 400, body
    assert (await told(quiet, {"revision": "x" * 129})).status == 400
    assert (await quiet.send("GET", "/notify", port=quiet.admin_port)).status == 404
    assert (await quiet.send("POST", "/notify", {}, b'{"revision": "1"}')).status == 404, "on the public listener"
    assert looks.count == 0


@pytest.fixture
async def guarded(tmp_path: Path, ingress: str) -> AsyncIterator[Gateway]:
    settings: dict[str, Any] = {"admin": True, "admin_token": "t" * 32}
    async with running(tmp_path, {"users.yaml": USERS}, ingress=ingress, **settings) as gateway:
        yield gateway


async def test_a_message_needs_the_admin_token(guarded: Gateway) -> None:
    assert (await told(guarded, {"revision": "1"}, Authorization="Bearer wrong")).status == 401
    assert (await told(guarded, {"revision": "1"}, Authorization="Bearer " + "t" * 32)).status == 202


async def test_status_says_how_each_notifier_fares(tmp_path: Path, ingress: str) -> None:
    notify = ("redis://someone:very-secret@127.0.0.1:1",)
    async with running(tmp_path, {"users.yaml": USERS}, ingress=ingress, admin=True, notify=notify) as gateway:
        await until(lambda: gateway.worker.world.receivers.standings[0].error)
        reply = await gateway.send("GET", "/status", port=gateway.admin_port)
        (standing,) = json.loads(reply.body)[0]["notifiers"]
        scrape = await gateway.send("GET", "/metrics", port=gateway.admin_port)
        assert (standing["notifier"], standing["up"], standing["heard"]) == ("redis://127.0.0.1:1", False, 0)
        assert standing["error"]
        assert 'portico_notifiers_up{notifier="redis://127.0.0.1:1"} 0' in scrape.text
        assert "is down, so changes are seen by polling" in json.dumps(gateway.log())
        assert "very-secret" not in reply.text + scrape.text + json.dumps(gateway.log())
