"""MCP servers that fail in every way, over each transport (`events` is the older one, HTTP with SSE): the caller is
told within the limit, others do not notice, nothing stays."""

import contextlib
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.conversation import connection, eventually
from tests.e2e.processes import Gateway, descendants, gateway, is_alive, until
from tests.e2e.rude import Client, Era, client, descriptors, documents, process, resident, rude_http, sse

pytestmark = [pytest.mark.e2e, pytest.mark.alone, pytest.mark.anyio, pytest.mark.timeout(90)]

LIMIT = 1.0
MORE = 1.0
START = 2.0
MEBI = 1024 * 1024
LEGACY: Era = "legacy"
MODERN: Era = "modern"
WAYS = [(kind, era) for kind in ("process", "http", "events") for era in (LEGACY, MODERN)]

# What each tool does, and the words of the error that say so; None where the call succeeds all the same.
FAULTS: dict[str, dict[str, str | None]] = {
    "hang": {"process": "before the deadline", "http": "deadline", "events": "deadline"},
    "close": {"process": "closed its output", "http": "ended its stream", "events": "ended its stream"},
    "huge": {"process": "more than", "http": "more than", "events": "more than"},
    "garbage": {"process": None, "http": None, "events": None},
    "flood": {"process": None, "http": None, "events": None},
    "twice": {"process": None, "http": None, "events": None},
    "foreign": {"process": None, "http": None, "events": None},
}
SAID = {"garbage": "after garbage", "flood": "flooded", "twice": "once", "foreign": "own"}


@dataclass
class Stage:
    """A gateway, and what it stands in front of: `rude` servers, and a `quiet` one that must not notice."""

    running: Gateway
    http_url: str

    @property
    def pid(self) -> int:
        (pid,) = self.running.pids().values()
        return pid

    def health(self, name: str) -> dict[str, Any]:
        return next(one for one in self.running.status()[0]["upstreams"] if name in json.dumps(one))


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("faults")
    limits = {"timeout": f"{LIMIT}s", "startTimeout": f"{START}s"}
    with rude_http(folder) as (url, _):
        servers = {
            "process": process(**limits),
            "http": {"url": url, **limits},
            "events": sse(url, **limits),
            "quiet": process(timeout="5s"),
            "exits": process("exit", **limits),
            "deaf": process("deaf", **limits),
            "missing": {"command": "no-such-command", **limits},
            "refusing": {"url": "http://127.0.0.1:1/mcp", **limits},
        }
        with gateway(folder, documents(folder, servers)) as running:
            yield Stage(running, url)


@contextlib.asynccontextmanager
async def calling(running: Gateway, name: str, era: Era) -> AsyncIterator[Client]:
    async with connection() as http:
        yield await client(http, running, name, era)


@contextlib.asynccontextmanager
async def unnoticed(stage: Stage) -> AsyncIterator[None]:
    """The other upstream is the same process before and after, and answers at once."""
    async with calling(stage.running, "quiet", MODERN) as quiet:
        before = await quiet.text("pid")
        yield
        began = time.monotonic()
        assert await quiet.text("pid") == before
        assert time.monotonic() - began < MORE


@pytest.mark.parametrize(("kind", "era"), WAYS)
@pytest.mark.parametrize("fault", list(FAULTS))
async def test_a_fault_ends_within_its_limit_and_says_whose_it_is(
    stage: Stage, kind: str, era: Era, fault: str
) -> None:
    async with unnoticed(stage), calling(stage.running, kind, era) as caller:
        # It may have to be started again after the fault before this one.
        await eventually(lambda: works(caller), "the upstream is there")
        began = time.monotonic()
        answer = await caller.call(fault)
        assert time.monotonic() - began < (LIMIT + MORE if fault != "huge" else 5.0)
        wanted = FAULTS[fault][kind]
        if wanted is None:
            assert answer["result"]["content"][0]["text"] == SAID[fault]
        else:
            assert kind in answer["error"]["message"]
            assert wanted in answer["error"]["message"]


async def works(caller: Client) -> bool:
    return "result" in await caller.call("pid")


@pytest.mark.parametrize("era", [LEGACY, MODERN])
async def test_calls_that_a_server_dies_under_say_its_last_words_and_it_comes_back_by_itself(
    stage: Stage, era: Era
) -> None:
    async with unnoticed(stage), calling(stage.running, "process", era) as caller:
        await eventually(lambda: works(caller), "the upstream is there")
        before = await caller.text("pid")
        began = time.monotonic()
        message = await caller.error("die")
        assert time.monotonic() - began < LIMIT + MORE
        assert message.startswith("process")
        assert "exited with status 3" in message
        assert "I have had enough" in message
        await eventually(lambda: works(caller), "the upstream is back")
        assert await caller.text("pid") != before


async def test_clients_hear_that_lists_have_changed_when_a_server_is_back(stage: Stage) -> None:
    async with connection() as http, connection() as other:
        caller = await client(http, stage.running, "process", LEGACY)
        await eventually(lambda: works(caller), "the upstream is there")
        assert caller.session is not None
        async with caller.session.standing(other) as events:
            # It died under the tests before too, so that it may be left alone for some seconds first.
            await caller.call("die")
            assert (await events.message(45))["method"] == "notifications/tools/list_changed"
        assert await works(caller)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("exits", "cannot find my configuration"),
        ("missing", "No such file"),
        ("deaf", ""),
        ("refusing", "refused"),
    ],
)
@pytest.mark.parametrize("era", [LEGACY, MODERN])
async def test_a_server_that_does_not_start_is_named_with_the_reason(
    stage: Stage, name: str, words: str, era: Era
) -> None:
    async with unnoticed(stage), connection() as http:
        began = time.monotonic()
        url = f"{stage.running.url}/{name}/mcp"
        if era == "legacy":
            body = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}}
            answer = await http.post(url, json={"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": body})
            message = answer.json()["error"]["message"]
        else:
            message = await Client(http, url, None).error("pid")
        # The start that both eras are asked in has one limit, and so has the pause before another.
        assert time.monotonic() - began < START + MORE
        assert name in message
        assert words in message
        assert stage.health(name)["state"] == "down"


@pytest.mark.parametrize("kind", ["process", "http", "events"])
async def test_a_question_to_a_client_that_cannot_be_asked_is_refused_at_once(stage: Stage, kind: str) -> None:
    async with calling(stage.running, kind, LEGACY) as caller:
        await eventually(lambda: works(caller), "the upstream is there")
        began = time.monotonic()
        messages = await caller.messages("ask")
        assert time.monotonic() - began < LIMIT + MORE
        assert len(messages) == 1, messages
        assert "-32601" in json.dumps(messages[0]), messages


@pytest.mark.parametrize("kind", ["http", "events"])
async def test_a_distant_server_that_dies_in_mid_call_is_named_and_found_again(tmp_path: Path, kind: str) -> None:
    with rude_http(tmp_path) as (url, server):
        port = int(url.rsplit(":", 1)[1].split("/")[0])
        mortal = sse(url, timeout="2s") if kind == "events" else {"url": url, "timeout": "2s"}
        where = documents(tmp_path, {"mortal": mortal})
        with gateway(tmp_path, where) as running:
            async with calling(running, "mortal", LEGACY) as caller, calling(running, "mortal", MODERN) as other:
                began = time.monotonic()
                message = await caller.error("die")
                assert time.monotonic() - began < 2.0 + MORE
                assert "mortal" in message
                server.wait(10)
                assert "mortal" in await other.error("pid")
                with rude_http(tmp_path, port):
                    await eventually(lambda: works(caller), "the session is renewed")
                    await eventually(lambda: works(other), "the server is found again")


async def test_faults_leave_no_descriptors_children_or_memory(tmp_path: Path) -> None:
    limits = {"timeout": "500ms", "startTimeout": f"{START}s", "idleTimeout": "1s"}
    with rude_http(tmp_path) as (url, _):
        where = documents(
            tmp_path, {"process": process(**limits), "http": {"url": url, **limits}, "events": sse(url, **limits)}
        )
        with gateway(tmp_path, where) as running:
            (pid,) = running.pids().values()
            baseline = 0, 0, 0
            for faults in (("pid", "huge"), ("hang", "huge", "garbage", "flood", "close")):
                # The first round makes what is made once, such as thread pools and buffers of the allocator.
                if faults[0] == "hang":
                    baseline = descriptors(pid), len(descendants(pid)), resident(pid)
                for kind in ("process", "http", "events"):
                    for era in (LEGACY, MODERN):
                        async with connection() as http:
                            caller = await client(http, running, kind, era)
                            for fault in faults:
                                await eventually(lambda caller=caller: works(caller), "the upstream is there")
                                await caller.call(fault)
                            if caller.session is not None:
                                await caller.session.end(http)
                await eventually(
                    lambda: not [one for one in descendants(running.process.pid) if one != pid], "no children"
                )
            await eventually(lambda: descriptors(pid) <= baseline[0] + 8, "descriptors as before")
            assert len(descendants(pid)) <= baseline[1]
            await eventually(lambda: resident(pid) <= baseline[2] + 24 * MEBI, "memory as before")


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_nothing_is_orphaned_when_the_gateway_ends(tmp_path: Path, workers: int, number: int) -> None:
    where = documents(tmp_path, {"process": process(startTimeout="10s")})
    with gateway(tmp_path, where, "--workers", str(workers)) as running:
        async with calling(running, "process", MODERN) as caller, calling(running, "process", LEGACY) as other:
            pids = json.loads(await caller.text("family")) + json.loads(await other.text("family"))
        pids += descendants(running.process.pid)
        assert all(map(is_alive, pids))
        running.process.send_signal(number)
        until(lambda: not any(map(is_alive, pids)), "everybody is gone", 20)


async def test_a_worker_that_is_killed_takes_its_servers_with_it(tmp_path: Path) -> None:
    where = documents(tmp_path, {"process": process(startTimeout="10s")})
    with gateway(tmp_path, where, "--workers", "2") as running:
        async with calling(running, "process", MODERN) as caller:
            pids = json.loads(await caller.text("family"))
        for worker in running.pids().values():
            if pids[0] in descendants(worker):
                os.kill(worker, signal.SIGKILL)
        until(lambda: not any(map(is_alive, pids)), "everybody is gone", 20)


async def test_a_gateway_that_starts_no_processes_says_so(tmp_path: Path) -> None:
    marker = tmp_path / "started"
    server = {"command": "touch", "args": [str(marker)], "start": "atStart"}
    with gateway(tmp_path, documents(tmp_path, {"forbidden": server}), "--stdio", "off") as running:
        async with connection() as http:
            answer = await http.post(f"{running.url}/forbidden/mcp", json={})
            assert answer.status_code >= 400
        assert "--stdio off" in running.log
        assert running.figure("portico_problem_documents") == 1
        assert not marker.exists()
