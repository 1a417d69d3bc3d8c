"""Five MCP servers as people install them and a REST tool, as one endpoint: what is done through it is the same done
directly, by clients of both eras; and one of the five may die while calls go on.
"""

import asyncio
import json
import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from mcp import StdioServerParameters
from mcp.client.client import Client
from mcp.client.stdio import stdio_client
from mcp.shared.exceptions import MCPError
from tests.clients.driver import run_driver
from tests.e2e.combined_calls import TIME, Operation, Servers, comparable, named, public
from tests.e2e.processes import Demo, Gateway, demo, descendants, gateway, get
from tests.e2e.test_registry_upstreams import npm, pypi

pytestmark = [pytest.mark.e2e, pytest.mark.anyio, pytest.mark.timeout(120)]

CLIENTS = [
    ("python", "legacy", "http"),
    ("python", "modern", "http"),
    ("typescript-v1", "legacy", "sse"),
    ("typescript-v2", "legacy", "http"),
    ("typescript-v2", "modern", "http"),
]
NAMES = ("everything", "filesystem", "memory", "time", "git")
USER = "/users/email/ada@example.com"
MODERN = "2026-07-28"
BY_THE_INSPECTOR = {
    "legacy": {"get-structured-content", "args-prompt", "demo://resource/static/document/startup.md"},
    "modern": {"list_allowed_directories", "simple-prompt", "git_status"},
}
# The SDK does not send it: it knows from the list that the tool wants to be a task.
UNSENT = {("typescript-v1", "simulate-research-query")}
LISTS = {
    "listTools": ("tools", "name"),
    "listPrompts": ("prompts", "name"),
    "listResources": ("resources", "uri"),
    "listTemplates": ("resourceTemplates", "uriTemplate"),
}


@dataclass(frozen=True)
class Combined:
    running: Gateway
    service: Demo
    servers: Servers

    def operations(self, run: str) -> list[tuple[str, Operation]]:
        """Everything that is done at each server, as the server itself knows it."""
        return [(name, operation) for name in NAMES for operation in self.servers.operations(name, run)]

    def drive(self, kind: str, mode: str, transport: str, operations: list[Operation]) -> list[dict[str, Any]]:
        """From state as it is at first."""
        self.servers.begin()
        url = f"{self.running.url}/all/{'sse' if transport == 'sse' else 'mcp'}"
        return run_driver(kind, url, operations, mode=mode, transport=transport)


@pytest.fixture(scope="module")
def combined(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Combined]:
    folder = tmp_path_factory.mktemp("combined")
    servers = Servers(folder)
    servers.begin()
    with ExitStack() as stack:
        service = stack.enter_context(demo(folder))
        documents = folder / "documents"
        documents.mkdir()
        (documents / "combined.json").write_text(json.dumps(document(folder, service.url)))
        yield Combined(stack.enter_context(gateway(folder, documents)), service, servers)


def document(folder: Path, service: str) -> dict[str, Any]:
    tool = {
        "name": "get_user",
        "args": [{"name": "email", "in": "path", "type": "string", "required": True}],
        "request": {"url": service + "/users/email/{{ args.email }}"},
    }
    return {
        "version": 1,
        "name": "combined",
        "routers": [{"prefix": "/all", "server": "all"}],
        "servers": [{"name": "all", "include": [{"mcpServer": name, "prefix": f"{name}-"} for name in NAMES]}],
        "tools": [tool],
        "mcpServers": entries(folder),
    }


def entries(folder: Path) -> dict[str, dict[str, Any]]:
    return {
        "everything": npm("server-everything"),
        "filesystem": npm("server-filesystem", str(folder / "files")),
        "memory": npm("server-memory", env={"MEMORY_FILE_PATH": str(folder / "memory.jsonl")}),
        "time": pypi("mcp-server-time", "--local-timezone", "UTC"),
        "git": pypi("mcp-server-git", "--repository", str(folder / "repository")),
    }


@pytest.fixture(scope="module")
def direct(combined: Combined) -> dict[str, Any]:
    """By server: what it lists, and its answers to everything that is done."""
    return asyncio.run(directly(combined))


async def directly(combined: Combined) -> dict[str, Any]:
    combined.servers.begin()
    found: dict[str, Any] = {}
    for name, entry in entries(combined.servers.folder).items():
        server = stdio_client(StdioServerParameters(**entry))
        async with Client(server, mode="legacy", read_timeout_seconds=30) as client:
            can = client.server_capabilities
            lists = {
                "listTools": [tool.name for tool in (await client.list_tools()).tools],
                "listPrompts": [each.name for each in (await client.list_prompts()).prompts] if can.prompts else [],
                "listResources": [each.uri for each in (await client.list_resources()).resources]
                if can.resources
                else [],
                "listTemplates": [
                    each.uri_template for each in (await client.list_resource_templates()).resource_templates
                ]
                if can.resources
                else [],
            }
            answers = [await ask(client, operation) for operation in combined.servers.operations(name, "direct")]
        found[name] = (lists, answers)
    return found


async def ask(client: Client, operation: Operation) -> dict[str, Any]:
    try:
        if operation["op"] == "callTool":
            result: Any = await client.call_tool(operation["name"], operation["arguments"])
        elif operation["op"] == "getPrompt":
            result = await client.get_prompt(operation["name"], operation["arguments"])
        else:
            result = await client.read_resource(operation["uri"])
    except MCPError as error:
        return {"error": {"message": error.message}}
    return {"result": result.model_dump(mode="json", by_alias=True, exclude_none=True)}


def test_everything_that_the_servers_list_is_used(combined: Combined, direct: dict[str, Any]) -> None:
    for name in NAMES:
        wanted, lists = combined.servers.operations(name, "direct"), direct[name][0]
        assert set(lists["listTools"]) == named(wanted, "callTool")
        assert set(lists["listPrompts"]) == named(wanted, "getPrompt")
        read = named(wanted, "readResource")
        assert set(lists["listResources"]) <= read
        for template in lists["listTemplates"]:
            assert any(uri.startswith(template.partition("{")[0]) for uri in read)


@pytest.mark.parametrize(("kind", "mode", "transport"), CLIENTS)
def test_what_is_done_through_the_endpoint_is_the_same_done_directly(
    combined: Combined, direct: dict[str, Any], kind: str, mode: str, transport: str
) -> None:
    run = f"{kind}-{mode}"
    wanted = combined.operations(run)
    own = {"op": "callTool", "name": "get_user", "arguments": {"email": "ada@example.com"}}
    asked = [public(operation, f"{name}-") for name, operation in wanted]
    lists = [{"op": op} for op in LISTS]
    *answers, user = combined.drive(kind, mode, transport, [*lists, *asked, own])
    for (op, (member, identity)), answer in zip(LISTS.items(), answers, strict=False):
        listed = [entry[identity] for entry in answer["result"][member]]
        expected = [public_name(said, f"{name}-") for name in NAMES for said in direct[name][0][op]]
        # A client that can do more than the direct one, such as name its roots, is offered more by some servers.
        assert [said for said in listed if said in expected] == expected
    for (name, operation), answer, said in zip(wanted, answers[len(LISTS) :], said_directly(direct), strict=True):
        if (kind, operation.get("name")) in UNSENT:
            continue
        assert comparable(answer, f"{name}-", run) == comparable(said, f"{name}-", "direct"), operation
    assert user["result"]["structuredContent"] == get(combined.service.url + USER).json()


@pytest.mark.parametrize("mode", ["legacy", "modern"])
def test_the_inspector_is_answered_the_same(combined: Combined, direct: dict[str, Any], mode: str) -> None:
    """Each of its operations is a process and a connection, so that here it does a few that depend on none before."""
    compare_with_the_inspector(combined, direct, mode, BY_THE_INSPECTOR[mode])


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize("mode", ["legacy", "modern"])
def test_the_inspector_is_answered_the_same_whatever_it_does(
    combined: Combined, direct: dict[str, Any], mode: str
) -> None:
    everything = {operation.get("name") or operation["uri"] for _, operation in combined.operations("inspector")}
    compare_with_the_inspector(combined, direct, mode, everything)


def compare_with_the_inspector(combined: Combined, direct: dict[str, Any], mode: str, names: set[str]) -> None:
    wanted = [
        (name, operation, said)
        for (name, operation), said in zip(combined.operations("inspector"), said_directly(direct), strict=True)
        if (operation.get("name") or operation["uri"]) in names
    ]
    asked = [public(operation, f"{name}-") for name, operation, _ in wanted]
    answers = combined.drive("inspector", mode, "http", asked)
    for (name, operation, said), answer in zip(wanted, answers, strict=True):
        assert comparable(answer, f"{name}-", "inspector") == comparable(said, f"{name}-", "direct"), operation


def said_directly(direct: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for name in NAMES:
        yield from direct[name][1]


def public_name(said: str, prefix: str) -> str:
    return said.replace("://", f"://{prefix}/", 1) if "://" in said else prefix + said


@pytest.mark.parametrize("mode", ["legacy", "modern"])
async def test_one_server_is_killed_while_calls_go_on_and_comes_back(combined: Combined, mode: Any) -> None:
    url = f"{combined.running.url}/all/mcp"
    over = asyncio.Event()

    async def go_on(client: Client) -> int:
        made = 0
        while not over.is_set():
            result = await client.call_tool("time-convert_time", {**TIME[1][1]})
            assert not result.is_error
            made += 1
        return made

    async with Client(url, mode=mode if mode == "legacy" else MODERN, read_timeout_seconds=30) as client:
        assert await remembers(client) == ""
        others = asyncio.create_task(go_on(client))
        for pid in memory_processes(combined.running):
            os.kill(pid, signal.SIGKILL)
        said = []
        async with asyncio.timeout(30):
            while not said or said[-1]:
                said.append(await remembers(client))
        over.set()
        assert await others > 0
        assert all("memory" in each for each in said[:-1])
        tools = {tool.name for tool in (await client.list_tools()).tools}
        assert {"memory-read_graph", "time-convert_time", "get_user"} <= tools


async def remembers(client: Client) -> str:
    """Nothing where the memory answers, or the error that is told in its place."""
    try:
        result = await client.call_tool("memory-read_graph", {})
    except MCPError as error:
        return error.message
    assert not result.is_error
    return ""


def memory_processes(running: Gateway) -> list[int]:
    found = [pid for pid in descendants(running.process.pid) if b"server-memory" in cmdline(pid)]
    assert found
    return found


def cmdline(pid: int) -> bytes:
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""
