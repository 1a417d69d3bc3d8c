"""An open subscription at an aggregate hears of its servers whatever becomes of the document meanwhile."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.gateway import Gateway, modern_body, modern_headers, running
from tests.fakes.http_wire import Wire
from tests.fakes.mcp_http import Exchange, legacy_server
from tests.fakes.telling import until
from tests.interaction.scripted import Script, told

from portico.config.key import key_hash, new_key
from portico.gateway.protocol.aggregate import views

pytestmark = pytest.mark.anyio

CHANGED = "notifications/tools/list_changed"
UPDATED = "notifications/resources/updated"
ACKNOWLEDGED = "notifications/subscriptions/acknowledged"
GUIDE = "docs://p_/guide"
KEY = new_key()


@pytest.fixture(params=["legacy", "modern"])
def server_era(request: pytest.FixtureRequest) -> str:
    return request.param


class Document:
    """One server is included; a test changes what it wants to and publishes it."""

    def __init__(self, script: Script, other: Script) -> None:
        assert script.server is not None
        assert other.server is not None
        self.server: dict[str, Any] = {"name": "all", "include": [{"mcpServer": "one", "prefix": "p_"}]}
        self.tools: list[dict[str, Any]] = []
        self.router: dict[str, Any] = {"prefix": "/all", "server": "all"}
        self.one = {"url": f"http://127.0.0.1:{script.server.port}/mcp", "protocol": script.era}
        self.two = {"url": f"http://127.0.0.1:{other.server.port}/mcp", "protocol": other.era}

    def text(self) -> str:
        servers = {"one": self.one, "two": self.two}
        used = {include["mcpServer"] for include in self.server.get("include", ())}
        found = {"version": 1, "name": "all", "routers": [self.router], "servers": [self.server], "tools": self.tools}
        return json.dumps(found | {"mcpServers": {name: servers[name] for name in sorted(used)}})


class Scene:
    def __init__(self, gateway: Gateway, document: Document, one: Script, two: Script) -> None:
        self.gateway = gateway
        self.document = document
        self.one = one
        self.two = two

    async def listen(self, *uris: str, key: str = "", able: str = "") -> Wire:
        wanted = {"toolsListChanged": True, "resourceSubscriptions": list(uris)}
        headers = modern_headers("subscriptions/listen") | ({"Authorization": f"Bearer {key}"} if key else {})
        raw = modern_body("subscriptions/listen", {"notifications": wanted}, kind(able))
        stream, _ = await self.gateway.stream("POST", "/all/mcp", headers, raw)
        acknowledged = await told(stream, ACKNOWLEDGED)
        assert acknowledged["notifications"].get("resourceSubscriptions", []) == list(uris)
        return stream

    async def lists(self, able: str = "", key: str = "") -> list[str]:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        reply = await self.gateway.modern("tools/list", path="/all", headers=headers, meta=kind(able))
        return [tool["name"] for tool in reply.result["tools"]]

    @property
    def views(self) -> views.Views:
        return self.gateway.worker.world.views

    async def publish(self) -> None:
        """The document as it is now."""
        self.gateway.write("all.json", self.document.text())
        report = await self.gateway.reload()
        assert not report["problems"], report


def kind(able: str) -> dict[str, Any]:
    """What tells clients that can do something apart from those that cannot."""
    return {"io.modelcontextprotocol/clientCapabilities": {"experimental": {able: {}}}} if able else {}


async def hears(stream: Wire, script: Script, method: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
    """What the client is told when a server tells it, again and again until it is heard."""

    async def go_on() -> None:
        while True:
            script.tell(method, params or {})
            await asyncio.sleep(0.02)

    telling = asyncio.create_task(go_on())
    try:
        return await told(stream, method)
    finally:
        telling.cancel()


async def hears_all(stream: Wire, script: Script) -> None:
    """Updates come first: what the reload itself said of lists is read by then."""
    assert (await hears(stream, script, UPDATED, {"uri": "docs://guide"}))["uri"] == GUIDE
    await hears(stream, script, CHANGED)


def swept(shown: views.Views) -> list[dict[str, Any]]:
    """Those views that somebody attends, where others are let go at once."""
    shown.sweep()
    return shown.report()


@contextlib.asynccontextmanager
async def scene(
    folder: Path, era: str, change: Callable[[Document], None] = lambda document: None
) -> AsyncIterator[Scene]:
    one, two = Script(era), Script(era)
    async with legacy_server(one.act) as one.server, legacy_server(two.act) as two.server:
        document = Document(one, two)
        change(document)
        async with running(folder, {"all.json": document.text()}) as gateway:
            yield Scene(gateway, document, one, two)


def other_words(document: Document) -> None:
    document.server["instructions"] = "Other words."


def fewer_tools(document: Document) -> None:
    document.server["include"][0]["tools"] = ["look"]


def another_connection(document: Document) -> None:
    document.one["timeout"] = "7s"


def a_second_server(document: Document) -> None:
    document.server["include"].append({"mcpServer": "two", "prefix": "q_"})


def nothing_included(document: Document) -> None:
    del document.server["include"]
    document.tools.append({"name": "echo", "request": {"url": "REST/echo"}})


def guarded(document: Document) -> None:
    document.router["auth"] = {"mode": "apiKey", "keys": [{"name": "k", "hash": key_hash(KEY)}]}


def another_limit(document: Document) -> None:
    document.router["auth"]["keys"][0]["tools"] = ["p_a*"]


@pytest.mark.parametrize("lists", [False, True], ids=["nobody lists", "somebody lists"])
@pytest.mark.parametrize(
    "change", [other_words, fewer_tools, another_connection, a_second_server], ids=lambda change: change.__name__
)
async def test_a_subscription_goes_on_hearing_when_the_document_changes(
    tmp_path: Path, server_era: str, change: Callable[[Document], None], lists: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with scene(tmp_path, server_era) as found:
        stream = await found.listen(GUIDE)
        await hears_all(stream, found.one)
        monkeypatch.setattr(views, "IDLE", -1.0)
        change(found.document)
        await found.publish()
        if lists:
            await found.lists()
        await hears_all(stream, found.one)
        found.views.sweep()
        await hears_all(stream, found.one)
        stream.abort()


async def test_a_server_that_a_reload_adds_is_heard_though_nobody_lists(tmp_path: Path, server_era: str) -> None:
    async with scene(tmp_path, server_era) as found:
        stream = await found.listen(GUIDE)
        a_second_server(found.document)
        await found.publish()
        await hears(stream, found.one, UPDATED, {"uri": "docs://guide"})
        await hears(stream, found.two, CHANGED)
        stream.abort()


async def test_a_server_that_comes_late_is_heard_though_nobody_lists(
    tmp_path: Path, server_era: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with scene(tmp_path, server_era) as found:
        stream = await found.listen(GUIDE)
        monkeypatch.setattr(views, "LIST_PATIENCE", 0.05)
        held, act = asyncio.Event(), found.two.act

        async def late(exchange: Exchange) -> bool | None:
            await held.wait()
            return await act(exchange)

        assert found.two.server is not None
        found.two.server.act = late
        a_second_server(found.document)
        await found.publish()
        await until(lambda: "has not answered yet" in json.dumps(found.views.report()))
        await hears(stream, found.one, UPDATED, {"uri": "docs://guide"})
        held.set()
        await told(stream, CHANGED)
        await hears(stream, found.two, CHANGED)
        stream.abort()


async def test_what_is_included_again_is_heard_again(
    tmp_path: Path, server_era: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with scene(tmp_path, server_era) as found:
        stream = await found.listen(GUIDE)
        included = dict(found.document.server)
        nothing_included(found.document)
        await found.publish()
        await told(stream, CHANGED)
        with monkeypatch.context() as patched:
            patched.setattr(views, "IDLE", -1.0)
            await until(lambda: not swept(found.views))
        found.document.server = included
        await found.publish()
        await hears_all(stream, found.one)
        stream.abort()


async def test_a_key_that_may_do_something_else_goes_on_hearing(
    tmp_path: Path, server_era: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with scene(tmp_path, server_era, guarded) as found:
        stream = await found.listen(key=KEY)
        another_limit(found.document)
        await found.publish()
        monkeypatch.setattr(views, "IDLE", -1.0)
        await until(lambda: [len(view["offers"]["tools"]) for view in swept(found.views)] == [1])
        await hears(stream, found.one, CHANGED)
        assert await found.lists(key=KEY) == ["p_a_b"]
        stream.abort()


async def test_a_subscription_ends_with_its_endpoint_and_leaves_its_servers(
    tmp_path: Path, server_era: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views, "IDLE", -1.0)
    async with scene(tmp_path, server_era) as found:
        stream = await found.listen(GUIDE)
        found.document.router["prefix"] = "/elsewhere"
        await found.publish()
        async with asyncio.timeout(5):
            last = None
            while (event := await stream.event()) is not None:
                last = event.json if event.data else last
        assert last is not None
        assert last["result"]["resultType"] == "complete"
        await until(lambda: not swept(found.views))


async def test_a_call_that_began_before_a_reload_takes_nothing_from_a_subscription(
    tmp_path: Path, server_era: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with scene(tmp_path, server_era, guarded) as found:
        stream = await found.listen(GUIDE, key=KEY)
        guard: Any = found.gateway.worker.world.live.current.endpoints["/all"].guard
        known, came, judged = guard.known, asyncio.Event(), asyncio.Event()

        async def verify(credential: str) -> Any:
            came.set()
            await judged.wait()
            return known(credential)

        monkeypatch.setattr(guard, "known", lambda credential: None)
        monkeypatch.setattr(guard, "verify", verify)
        listing = asyncio.create_task(found.lists(key=KEY))
        async with asyncio.timeout(5):
            await came.wait()
        fewer_tools(found.document)
        await found.publish()
        await until(lambda: [len(view["offers"]["tools"]) for view in swept(found.views)] == [1])
        judged.set()
        assert len(await listing) == 3, "it is answered by what it came to"
        monkeypatch.setattr(views, "IDLE", -1.0)
        assert len(found.views.report()) == 2
        assert await found.lists(key=KEY) == ["p_look"]
        await until(lambda: len(swept(found.views)) == 1)
        await hears_all(stream, found.one)
        stream.abort()


async def test_a_subscription_is_not_forgotten_for_others_that_come_later(
    tmp_path: Path, server_era: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views, "MOST_VIEWS", 2)
    async with scene(tmp_path, server_era) as found:
        stream = await found.listen(GUIDE)
        for number in range(5):
            assert len(await found.lists(f"later-{number}")) == 3
        assert len(found.views.report()) == 3
        shown = found.views.report()
        await found.lists("later-4")
        assert found.views.report() == shown
        monkeypatch.setattr(views, "IDLE", -1.0)
        await until(lambda: len(swept(found.views)) == 1)
        await hears_all(stream, found.one)
        stream.abort()


async def test_as_many_kinds_of_clients_hear_as_have_streams_open(
    tmp_path: Path, server_era: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views, "MOST_VIEWS", 1)
    monkeypatch.setattr(views, "IDLE", -1.0)
    async with scene(tmp_path, server_era) as found:
        streams = [await found.listen(GUIDE, able=f"kind-{number}") for number in range(4)]
        assert len(await found.lists("another")) == 3
        await until(lambda: len(swept(found.views)) == 4)
        for stream in streams:
            await hears_all(stream, found.one)
        for stream in streams[1:]:
            stream.abort()
        await until(lambda: len(swept(found.views)) == 1)
        await hears_all(streams[0], found.one)
        streams[0].abort()
