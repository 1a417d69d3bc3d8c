"""From `portico config apply` to what MCP clients see at two gateways of two workers each, which share a database: with
each kind of notifier, with none, and with one that is down.

No time is asserted that a slow machine could not keep: with a notifier the gateways look once in an hour by themselves,
so that what is seen at all was seen because it was told. How long it took is printed.
"""

import os
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
import httpx
import pytest
from mcp import Client
from tests.e2e.conversation import ask, connection, connection_to, eventually, modern_request, result_of
from tests.e2e.desk import Desk
from tests.e2e.processes import Gateway, demo
from tests.e2e.test_notify import TOKEN, connected, gateways, hub, senders
from tests.fakes import redis_server
from tests.fakes.databases import Kind, made

from portico.apps.config import Config
from portico.settings import Settings
from portico.store.open import open_store
from portico.store.records import DEFAULT_TENANT

pytestmark = [pytest.mark.e2e, pytest.mark.anyio, pytest.mark.timeout(180)]

STORES = ("postgresql", "mysql")
NOTIFIERS = ("signal", "http", "redis", "postgresql", "none")
SELDOM, OFTEN = "3600", "1"
APPLIES = 100 if float(os.environ.get("PORTICO_SOAK_SECONDS", "0")) else 30


def document(name: str, *tools: str, url: str = "http://127.0.0.1:9") -> str:
    listed = "".join(f'\n  - {{name: {tool}, request: {{url: "{url}/echo/{tool}"}}}}' for tool in tools)
    return f"""
version: 1
name: {name}
routers: [{{prefix: /{name}, server: {name}}}]
servers: [{{name: {name}}}]
tools:{listed}
"""


@pytest.fixture(scope="module", params=STORES)
def kind(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kind]:
    directory = tmp_path_factory.mktemp(request.param)
    with made(request.param, directory) as found:
        Desk(found.url, directory).done("migrate")
        yield found


@dataclass(frozen=True)
class Place:
    """Somebody who applies documents named `name`, and a connection to each of four workers."""

    desk: Desk
    name: str
    gateways: Sequence[Gateway]
    workers: Sequence[tuple[httpx.AsyncClient, str]]

    async def told(self, wanted: list[str], *command: str) -> float:
        """Run the command, and say how many seconds after its change every worker and every client saw the tools."""
        times: list[float] = []
        async with anyio.create_task_group() as group:
            for http, url in self.workers:
                group.start_soon(seen, http, url, wanted, times)
            await anyio.to_thread.run_sync(lambda: self.desk.done(*command))
        for running in self.gateways:
            if wanted:
                async with Client(f"{running.url}/{self.name}/mcp") as client:
                    assert [tool.name for tool in (await client.list_tools()).tools] == wanted
        store = open_store(self.desk.url)
        newest = (await store.documents.versions(DEFAULT_TENANT, self.name))[0]
        await store.close()
        return max(times) - newest.at / 1000


async def seen(http: httpx.AsyncClient, url: str, wanted: list[str], times: list[float]) -> None:
    """Wait until a worker lists these tools; none means that it serves nothing there."""
    await eventually(lambda: serves(http, url, wanted), f"{wanted} at {url}")
    times.append(time.time())


async def serves(http: httpx.AsyncClient, url: str, wanted: list[str]) -> bool:
    answer = await http.post(url, **modern_request("tools/list"))
    if answer.status_code == 404:
        return wanted == []
    return [tool["name"] for tool in result_of(answer)["tools"]] == wanted


@asynccontextmanager
async def place(directory: Path, kind: Kind, notifier: str, name: str, first: str, poll: str) -> AsyncIterator[Place]:
    desk = Desk(kind.url, directory)
    desk.done("config", "apply", desk.write(f"{name}.yaml", first))
    with notifying(notifier, directory, kind) as notify:
        settings = ["--admin-token", TOKEN, "--copy", "off", *(["--notify", notify] if notify else [])]
        with gateways(directory, kind.url, *settings, poll=poll) as found:
            if notify:
                for running in found:
                    await eventually(lambda running=running: connected(running), "the notifier is listened to")
            urls = [notify] if notify else senders(notifier, directory, found) if notifier != "none" else []
            desk.environment["PORTICO_NOTIFY"] = ",".join(urls)
            async with AsyncExitStack() as stack:
                workers = []
                for running in found:
                    url = f"{running.url}/{name}/mcp"
                    for worker in running.pids():
                        http = await connection_to(url, worker)
                        stack.push_async_callback(http.aclose)
                        workers.append((http, url))
                yield Place(desk, name, found, workers)


@contextmanager
def notifying(notifier: str, directory: Path, kind: Kind) -> Iterator[str | None]:
    """A database that can tell of changes is asked to itself."""
    if notifier == "postgresql" and kind.url.startswith(notifier):
        yield kind.url
    else:
        with hub(notifier, directory) as url:
            yield url


@pytest.mark.parametrize("notifier", NOTIFIERS)
async def test_what_is_applied_rolled_back_and_deleted_is_seen_at_every_worker(
    kind: Kind, notifier: str, tmp_path: Path
) -> None:
    poll = OFTEN if notifier == "none" else SELDOM
    async with place(tmp_path, kind, notifier, notifier, document(notifier, "old"), poll) as here:
        file = here.desk.write("new.yaml", document(notifier, "old", "new"))
        times = {
            "apply": await here.told(["old", "new"], "config", "apply", file),
            "rollback": await here.told(["old"], "config", "rollback", notifier, "1"),
            "delete": await here.told([], "config", "delete", notifier),
            "back": await here.told(["old", "new"], "config", "rollback", notifier, "2"),
        }
        print(f"{kind.url.partition(':')[0]}, {notifier}:", *(f"{step} {took:.2f} s" for step, took in times.items()))


@pytest.mark.soak
@pytest.mark.parametrize("notifier", ["redis"])
async def test_applies_under_load_fail_no_call(kind: Kind, notifier: str, tmp_path: Path) -> None:
    with demo(tmp_path) as service:
        first = document("load", "ask", url=service.url)
        async with place(tmp_path, kind, notifier, "load", first, SELDOM) as here, anyio.create_task_group() as group:
            calls: list[int] = []
            for _, url in here.workers:
                group.start_soon(call, url, calls)
            notify = tuple(here.desk.environment["PORTICO_NOTIFY"].split(","))
            config = Config(Settings(store=kind.url, notify=notify), DEFAULT_TENANT, lambda lines, question: True)
            began = time.monotonic()
            for number in range(1, APPLIES + 1):
                tools = ["ask", f"number-{number}"]
                file = here.desk.write("load.yaml", document("load", *tools, url=service.url))
                outcome = await config.apply([str(tmp_path / file)])
                assert (outcome.code, outcome.data["warnings"]) == (0, [])
                if number % 10 == 0:
                    for http, url in here.workers:
                        await seen(http, url, tools, [])
            await config.close()
            group.cancel_scope.cancel()
        print(f"{APPLIES} applies and {len(calls)} calls in {time.monotonic() - began:.1f} s")
        assert len(calls) > 100


async def call(url: str, calls: list[int]) -> None:
    """Again and again; one that fails fails the test."""
    async with connection() as http:
        while True:
            result = await ask(http, url, "tools/call", {"name": "ask", "arguments": {}})
            assert not result.get("isError"), result
            calls.append(1)


async def test_what_a_notifier_that_is_down_does_not_tell_is_seen_by_polling(tmp_path: Path) -> None:
    with made("sqlite", tmp_path) as kind, redis_server.single(tmp_path) as (server, url):
        desk = Desk(kind.url, tmp_path)
        desk.done("migrate")
        desk.done("config", "apply", desk.write("a.yaml", document("a", "old")))
        with gateways(tmp_path, kind.url, "--copy", "off", "--notify", url, poll=OFTEN) as found:
            for running in found:
                await eventually(lambda running=running: connected(running), "the notifier is listened to")
            server.stop()
            warned = desk.done("config", "apply", desk.write("a.yaml", document("a", "new")), notify=url)
            assert "redis://127.0.0.1" in warned
            async with connection() as http:
                for running in found:
                    await seen(http, f"{running.url}/a/mcp", ["new"], [])
            server.start()
            for running in found:
                await eventually(lambda running=running: connected(running), "the notifier is listened to again")
