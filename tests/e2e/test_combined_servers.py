"""Five MCP servers as people install them and REST tools, as one endpoint: what is done through it is the same done
directly, by clients of both eras.
"""

import asyncio
import os
from collections.abc import Iterator
from typing import Any

import pytest
from mcp import StdioServerParameters
from mcp.client.client import Client
from mcp.client.stdio import stdio_client
from mcp.shared.exceptions import MCPError
from tests.e2e.combined_calls import Operation, comparable, named, public
from tests.e2e.combined_gateway import NAMES, OWN, Combined, combine, entries

SECONDS = float(os.environ.get("PORTICO_SOAK_SECONDS", "0"))

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

CLIENTS = [
    ("python", "legacy", "http"),
    ("python", "modern", "http"),
    ("typescript-v1", "legacy", "sse"),
    ("typescript-v2", "legacy", "http"),
    ("typescript-v2", "modern", "http"),
]
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


@pytest.fixture(scope="module")
def combined(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Combined]:
    with combine(tmp_path_factory.mktemp("combined")) as found:
        yield found


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
    asked = [public(operation, f"{name}-") for name, operation in wanted]
    lists = [{"op": op} for op in LISTS]
    answers = combined.drive(kind, mode, transport, [*lists, *asked, *calls_of_own()])
    check_own(combined, answers)
    for (op, (member, identity)), answer in zip(LISTS.items(), answers, strict=False):
        listed = [entry[identity] for entry in answer["result"][member]]
        expected = [public_name(said, f"{name}-") for name in NAMES for said in direct[name][0][op]]
        # A client that can do more than the direct one, such as name its roots, is offered more by some servers.
        assert [said for said in listed if said in expected] == expected
        assert op != "listTools" or listed[: len(OWN)] == list(OWN)
    for (name, operation), answer, said in zip(wanted, answers[len(LISTS) :], said_directly(direct), strict=False):
        if (kind, operation.get("name")) in UNSENT:
            continue
        assert comparable(answer, f"{name}-", run) == comparable(said, f"{name}-", "direct"), operation


def calls_of_own() -> list[Operation]:
    return [{"op": "callTool", "name": name, "arguments": arguments} for name, arguments in OWN.items()]


def check_own(combined: Combined, answers: list[dict[str, Any]]) -> None:
    """The last answers, those of the REST tools, are what the service answers."""
    own = [answer["result"]["structuredContent"] for answer in answers[-len(OWN) :]]
    assert own == combined.asked_directly()


@pytest.mark.parametrize("mode", ["legacy", "modern"])
def test_the_inspector_is_answered_the_same(combined: Combined, direct: dict[str, Any], mode: str) -> None:
    """Each of its operations is a process and a connection, so that here it does a few that depend on none before."""
    compare_with_the_inspector(combined, direct, mode, BY_THE_INSPECTOR[mode])


if SECONDS:
    # It starts anew for each of a hundred operations; the test above has it perform some.

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
    answers = combined.drive("inspector", mode, "http", [*asked, *calls_of_own()])
    check_own(combined, answers)
    for (name, operation, said), answer in zip(wanted, answers, strict=False):
        assert comparable(answer, f"{name}-", "inspector") == comparable(said, f"{name}-", "direct"), operation


def said_directly(direct: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for name in NAMES:
        yield from direct[name][1]


def public_name(said: str, prefix: str) -> str:
    return said.replace("://", f"://{prefix}/", 1) if "://" in said else prefix + said
