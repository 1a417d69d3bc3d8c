"""Combined servers behind two workers: each worker has its own servers, and clients notice nothing of it."""

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from tests.e2e.combined_calls import TIME
from tests.e2e.combined_gateway import OWN, Combined, combine
from tests.e2e.processes import post
from tests.e2e.test_combined_server_dies import (
    listening,
    memory_processes,
    missing,
    present,
    remembers,
    told_until,
    tools,
)
from tests.fakes.gateway import LEGACY, body, modern_body, modern_headers

pytestmark = [pytest.mark.e2e, pytest.mark.anyio, pytest.mark.timeout(120)]

MOST = 200
CALL = {"name": "time-convert_time", "arguments": TIME[1][1]}
HEADERS = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}


@pytest.fixture(scope="module")
def combined(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Combined]:
    with combine(tmp_path_factory.mktemp("workers"), "--workers", "2", names=("memory", "time")) as found:
        yield found


def viewed(combined: Combined) -> bool:
    """Whether both workers have been asked for what is combined."""
    return all(worker["aggregates"] for worker in combined.running.status())


def test_each_worker_answers_the_same(combined: Combined) -> None:
    """Each request comes by a connection of its own, so that now one worker takes it and now the other."""
    answers: list[Any] = []
    while not (answers and viewed(combined)):
        assert len(answers) < MOST
        lists = post(combined.url, headers=HEADERS | modern_headers("tools/list"), content=modern_body("tools/list"))
        answers.append([tool["name"] for tool in lists.json()["result"]["tools"]])
        headers = HEADERS | modern_headers("tools/call", CALL)
        called = post(combined.url, headers=headers, content=modern_body("tools/call", CALL))
        assert "isError" not in called.json()["result"] or not called.json()["result"]["isError"]
    assert all(answer == answers[0] for answer in answers)
    assert {name.partition("-")[0] for name in answers[0]} == {*OWN, "memory", "time"}


def test_a_session_is_answered_by_the_worker_that_has_it(combined: Combined) -> None:
    client = {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
    sessions = [
        post(combined.url, headers=HEADERS, content=body("initialize", client)).headers["mcp-session-id"]
        for _ in range(6)
    ]
    for number in range(10):
        for session in sessions:
            headers = HEADERS | {"Mcp-Session-Id": session, "MCP-Protocol-Version": LEGACY}
            called = post(combined.url, headers=headers, content=body("tools/call", CALL, number)).json()
            assert (called["id"], called["result"]["isError"]) == (number, False)


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_whoever_listens_at_either_worker_hears_that_a_server_is_back(combined: Combined, mode: Any) -> None:
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(listening(combined.url, mode)) for _ in range(6)]
        for client, _ in clients:
            assert "memory-read_graph" in await tools(client)
            assert await remembers(client) == ""
        combined.gone.touch()
        for pid in memory_processes(combined):
            os.kill(pid, signal.SIGKILL)
        await asyncio.gather(*(told_until(changes, lambda of=client: missing(of)) for client, changes in clients))
        combined.gone.unlink()
        await asyncio.gather(*(told_until(changes, lambda of=client: present(of)) for client, changes in clients))
        for client, _ in clients:
            assert await remembers(client) == ""
