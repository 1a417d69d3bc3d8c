"""One of five combined MCP servers is killed, stays away and comes back, while calls of all the others go on."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from mcp.client.client import Client
from mcp.shared.exceptions import MCPError
from tests.e2e.combined_calls import TIME
from tests.e2e.combined_gateway import OWN, Combined, combine
from tests.e2e.processes import descendants

pytestmark = [pytest.mark.e2e, pytest.mark.anyio, pytest.mark.timeout(120)]

PATIENCE = 40.0
CHANGED = "notifications/tools/list_changed"
DOWN = "The upstream memory (sh) is down"


@pytest.fixture
def combined(tmp_path: Path) -> Iterator[Combined]:
    with combine(tmp_path) as found:
        yield found


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_the_others_do_not_notice_and_whoever_asks_for_it_is_told(combined: Combined, mode: Any) -> None:
    async with AsyncExitStack() as stack:
        client, changes = await stack.enter_async_context(listening(combined.url, mode))
        others = await stack.enter_async_context(Client(combined.url, mode=mode, read_timeout_seconds=30))
        assert await remembers(client) == ""
        assert "memory-read_graph" in await tools(client)
        over = asyncio.Event()
        group = await stack.enter_async_context(asyncio.TaskGroup())
        loops = [group.create_task(go_on(others, name, given, over)) for name, given in calls(combined)]

        combined.gone.touch()
        for pid in memory_processes(combined):
            os.kill(pid, signal.SIGKILL)
        await told_until(changes, lambda: missing(client))
        assert (await remembers(client)).startswith("memory (sh) ")
        async with Client(combined.url, mode=mode, read_timeout_seconds=30) as late:
            assert "## Not available now\n\n- memory: " in (late.instructions or "")
            assert {name.partition("-")[0] for name in await tools(late)} == {
                *OWN,
                "everything",
                "filesystem",
                "time",
                "git",
            }
            assert "memory (sh) " in await remembers(late)
        (upstream,) = [each for each in combined.running.status()[0]["upstreams"] if each["name"] == "memory"]
        assert (upstream["state"], upstream["reason"] != "") == ("down", True)
        assert any(DOWN in message for message in combined.running.messages)

        combined.gone.unlink()
        await told_until(changes, lambda: present(client))
        assert await remembers(client) == ""
        async with Client(combined.url, mode=mode, read_timeout_seconds=30) as late:
            assert "Not available now" not in (late.instructions or "")
        over.set()
        assert 0 not in await asyncio.gather(*loops)


@asynccontextmanager
async def listening(url: str, mode: Any) -> AsyncIterator[tuple[Client, asyncio.Event]]:
    """A client, and an event that is set whenever it is told that the tools have changed."""
    changes = asyncio.Event()

    async def hear(message: Any) -> None:
        if getattr(message, "method", "") == CHANGED:
            changes.set()

    async with AsyncExitStack() as stack:
        client = Client(url, mode=mode, message_handler=hear, read_timeout_seconds=30)
        await stack.enter_async_context(client)
        if mode != "legacy":
            subscription = await stack.enter_async_context(client.listen(tools_list_changed=True))

            async def follow() -> None:
                async for _ in subscription:
                    changes.set()

            task = asyncio.create_task(follow())
            stack.callback(task.cancel)
        yield client, changes


async def told_until(changes: asyncio.Event, look: Any) -> None:
    """Look each time that a change is told, until it is the one that is waited for."""
    async with asyncio.timeout(PATIENCE):
        while True:
            await changes.wait()
            changes.clear()
            if await look():
                return


async def tools(client: Client) -> list[str]:
    return [tool.name for tool in (await client.list_tools()).tools]


async def present(client: Client) -> bool:
    return "memory-read_graph" in await tools(client)


async def missing(client: Client) -> bool:
    return not await present(client)


async def go_on(client: Client, name: str, arguments: dict[str, Any], over: asyncio.Event) -> int:
    """Call without a pause; each call is answered, and none with an error."""
    made = 0
    while not over.is_set():
        result = await client.call_tool(name, arguments)
        assert not result.is_error, result
        made += 1
    return made


def calls(combined: Combined) -> list[tuple[str, dict[str, Any]]]:
    return [
        ("everything-echo", {"message": "Grüße"}),
        ("filesystem-list_allowed_directories", {}),
        ("time-convert_time", TIME[1][1]),
        ("git-git_status", {"repo_path": str(combined.servers.folder / "repository")}),
        ("get_user", OWN["get_user"]),
    ]


async def remembers(client: Client) -> str:
    """Nothing where the memory answers, or the error that is told in its place."""
    try:
        result = await client.call_tool("memory-read_graph", {})
    except MCPError as error:
        return error.message
    assert not result.is_error
    return ""


def memory_processes(combined: Combined) -> list[int]:
    found = [pid for pid in descendants(combined.running.process.pid) if b"server-memory" in cmdline(pid)]
    assert found
    return found


def cmdline(pid: int) -> bytes:
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""
