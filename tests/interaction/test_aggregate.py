"""Several MCP servers and the document's own tools as one server, through the front door."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.gateway import LEGACY, Gateway, body, running
from tests.fakes.http_wire import Reply
from tests.fakes.mcp_http import Exchange, LegacyServer, legacy_server
from tests.interaction.scripted import told
from tests.interaction.test_relay_shortcut import close_the_general_way

from portico.config.key import key_hash, new_key
from portico.gateway.protocol.aggregate import views
from portico.gateway.protocol.progress import Progress

pytestmark = pytest.mark.anyio

DOCUMENT = """
version: 1
name: all
routers: [{prefix: /all, server: all}]
servers:
  - name: all
    instructions: Ours.
    include:
      - {mcpServer: one, OPTIONS}
      - {mcpServer: two, prefix: two_, tools: ["*", "!hidden"], override: {two_search: {name: find, title: Find}}}
TOOLS
mcpServers:
  one: {url: "http://127.0.0.1:ONE/mcp", protocol: legacy}
  two: {url: "http://127.0.0.1:TWO/mcp", protocol: legacy}
"""
OWN_TOOLS = 'tools: [{name: echo, request: {url: "REST/echo"}}]'
CAPABILITIES = {
    "tools": {"listChanged": True},
    "prompts": {},
    "resources": {"subscribe": True},
    "completions": {},
}


def scripted(name: str, tools: list[dict[str, Any]], pages: int = 1) -> Callable[[Exchange], Any]:
    """A server whose answers tell what reached it."""

    async def act(exchange: Exchange) -> bool | None:
        message = exchange.message
        method, params = message.get("method"), message.get("params") or {}
        if method == "initialize":
            info = {"name": name, "version": "1", "title": f"The {name}"}
            result = {"protocolVersion": "2025-11-25", "capabilities": CAPABILITIES, "serverInfo": info}
            act.server.sessions.add(name)  # type: ignore[attr-defined]
            exchange.result(result | {"instructions": f"Of {name}."}, Mcp_Session_Id=name)
        elif method == "tools/list":
            size = -(-len(tools) // pages)
            at = int(params.get("cursor", "0"))
            result = {"tools": tools[at : at + size]}
            exchange.result(result | ({"nextCursor": str(at + size)} if at + size < len(tools) else {}))
        elif method == "prompts/list":
            exchange.result({"prompts": [{"name": "greet"}]})
        elif method == "resources/list":
            exchange.result({"resources": [{"uri": f"docs://{name}/guide", "name": "guide"}]})
        elif method == "resources/templates/list":
            exchange.result({"resourceTemplates": [{"uriTemplate": "docs://user/{id}", "name": "user"}]})
        elif method == "tools/call":
            link = {"type": "resource_link", "uri": f"docs://{name}/guide", "name": "guide"}
            exchange.result({"content": [{"type": "text", "text": json.dumps(params)}, link]})
        elif method == "resources/read":
            exchange.result({"contents": [{"uri": params["uri"], "text": name}]})
        elif method == "prompts/get":
            exchange.result({"messages": [{"role": "user", "content": {"type": "text", "text": params["name"]}}]})
        elif method == "completion/complete":
            exchange.result({"completion": {"values": [json.dumps(params["ref"])]}})
        else:
            return False
        return True

    return act


def tool(name: str) -> dict[str, Any]:
    return {"name": name, "inputSchema": {"type": "object"}, "x-kept": 1}


ONE = [tool("search"), tool("both"), tool("big.name")]
TWO = [tool("search"), tool("hidden"), tool("read")]


@contextlib.asynccontextmanager
async def serving(name: str, tools: list[dict[str, Any]], pages: int = 1, port: int = 0) -> AsyncIterator[LegacyServer]:
    act = scripted(name, tools, pages)
    async with legacy_server(act, port) as server:
        act.server = server  # type: ignore[attr-defined]
        yield server


def text(one: int, two: int, options: str = "tools: ['*']", own: str = OWN_TOOLS) -> str:
    found = DOCUMENT.replace("ONE", str(one)).replace("TWO", str(two))
    return found.replace("OPTIONS", options).replace("TOOLS", own)


@contextlib.asynccontextmanager
async def world(folder: Path, **options: Any) -> AsyncIterator[tuple[Gateway, LegacyServer, LegacyServer]]:
    async with (
        serving("one", ONE, pages=2) as one,
        serving("two", TWO) as two,
        running(folder, {"all.yaml": text(one.port, two.port, **options)}) as gateway,
    ):
        yield gateway, one, two


async def listened_to(server: LegacyServer) -> None:
    """The gateway has opened its stream for what concerns no call."""
    async with asyncio.timeout(5):
        while not server.streams:  # noqa: ASYNC110 - the fake tells nobody.
            await asyncio.sleep(0)


def names(reply: Any, key: str = "tools", name: str = "name") -> list[str]:
    return [entry[name] for entry in reply.result[key]]


async def test_the_lists_are_one_in_the_order_of_the_document(tmp_path: Path) -> None:
    async with world(tmp_path) as (gateway, _, _):
        client = await gateway.open(path="/all")
        listed = await client.request("tools/list")
        assert names(listed) == ["echo", "search", "both", "big.name", "find", "two_read"]
        assert [entry.get("x-kept") for entry in listed.result["tools"]][1:] == [1, 1, 1, 1, 1]
        assert listed.result["tools"][4]["title"] == "Find"
        assert names(await client.request("prompts/list"), "prompts") == ["greet", "two_greet"]
        resources = await client.request("resources/list")
        assert names(resources, "resources", "uri") == ["docs://one/guide", "docs://two_/two/guide"]


async def test_greetings_are_joined(tmp_path: Path) -> None:
    async with world(tmp_path) as (gateway, _, _):
        result = (await gateway.open(path="/all")).opened.result
        assert result["instructions"] == "Ours.\n\n## The one\n\nOf one.\n\n## The two\n\nOf two."
        assert set(result["capabilities"]) == {"tools", "logging", "prompts", "resources", "completions"}
        assert result["serverInfo"]["name"] == "all"


async def test_a_call_reaches_its_owner_under_its_own_name(tmp_path: Path) -> None:
    async with world(tmp_path) as (gateway, _, _):
        client = await gateway.open(path="/all")
        for public, own, uri in (("search", "search", "docs://one/guide"), ("find", "search", "docs://two_/two/guide")):
            said, link = (await client.request("tools/call", {"name": public, "arguments": {"a": 1}})).result["content"]
            assert json.loads(said["text"]) == {"name": own, "arguments": {"a": 1}}
            assert link["uri"] == uri
        own = await client.request("tools/call", {"name": "echo", "arguments": {}})
        assert own.result["isError"] is False


@pytest.mark.parametrize("prefix", ["", "one_"])
async def test_what_was_judged_is_all_that_its_server_sees(tmp_path: Path, prefix: str) -> None:
    options = f"tools: ['search'], prefix: '{prefix}'"
    async with world(tmp_path, options=options) as (gateway, one, _):
        client = await gateway.open(path="/all")
        await client.request("tools/list")
        name = f"{prefix}search"
        for twice in (f'"name": "both", "name": "{name}"', f'"Name": "both", "name": "{name}"'):
            raw = body("tools/call", {"name": "search", "arguments": {}}).replace(b'"name": "search"', twice.encode())
            assert (await gateway.send("POST", "/all/mcp", client.headers(), raw)).status == 200
            assert one.seen[-1].message["params"] == {"name": "search", "arguments": {}}


async def test_tools_of_servers_and_of_the_document_take_the_short_way(tmp_path: Path) -> None:
    async with world(tmp_path) as (gateway, _, _):
        client = await gateway.open(path="/all")
        await client.request("tools/list")
        close_the_general_way(gateway)
        for name in ("find", "search", "echo"):
            assert (await client.request("tools/call", {"name": name, "arguments": {}})).result["content"]
        assert (await client.request("tools/call", {"name": "two_hidden", "arguments": {}})).status == 500


async def test_a_list_takes_the_short_way_as_long_as_it_holds(tmp_path: Path) -> None:
    async with world(tmp_path) as (gateway, one, _):
        client = await gateway.open(path="/all")
        first = [await client.request("tools/list"), await gateway.modern("tools/list", path="/all")]
        assert one.methods().count("tools/list") == 4, "two pages for each era"
        close_the_general_way(gateway)
        again = [await client.request("tools/list"), await gateway.modern("tools/list", path="/all")]
        assert [reply.result["tools"] for reply in again] == [reply.result["tools"] for reply in first]
        gateway.worker.world.views.doubt("/all")
        assert (await client.request("tools/list")).status == 500
        assert (await gateway.modern("tools/list", path="/all")).status == 500


async def test_a_list_that_is_an_error_stays_one(tmp_path: Path) -> None:
    async with running(tmp_path, {"all.yaml": text(1, 1, own="")}) as gateway:
        client = await gateway.open(path="/all")
        for _ in range(3):
            assert "nothing to list" in (await client.request("tools/list")).json["error"]["message"]


async def test_a_tool_that_its_server_has_no_more_is_asked_for_no_more(tmp_path: Path) -> None:
    tools = [tool("search"), tool("old")]
    async with (
        serving("one", tools) as one,
        serving("two", TWO) as two,
        running(tmp_path, {"all.yaml": text(one.port, two.port)}) as gateway,
    ):
        client = await gateway.open(path="/all")
        assert "old" in names(await client.request("tools/list"))
        assert (await client.request("tools/call", {"name": "old", "arguments": {}})).status == 200
        stream = await client.get_stream()
        del tools[1]
        await listened_to(one)
        one.streams[-1].event({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"})
        await told(stream, "notifications/tools/list_changed")
        stream.abort()
        assert "old" not in names(await client.request("tools/list"))
        one.seen.clear()
        refused = await client.request("tools/call", {"name": "old", "arguments": {}})
        assert "Unknown tool: old" in refused.json["error"]["message"]
        assert "tools/call" not in one.methods()


async def test_a_denied_tool_is_neither_listed_nor_called(tmp_path: Path) -> None:
    async with world(tmp_path) as (gateway, _, two):
        client = await gateway.open(path="/all")
        for name in ("two_hidden", "hidden"):
            reply = await client.request("tools/call", {"name": name})
            assert reply.json["error"]["code"] == -32602
        assert "tools/call" not in two.methods()


async def test_a_limited_key_sees_and_reaches_no_other_tool_of_an_included_server(tmp_path: Path) -> None:
    wide, narrow = new_key(), new_key()
    keys = f"{{name: wide, hash: {key_hash(wide)}}}, {{name: narrow, hash: {key_hash(narrow)}, tools: [find, both]}}"
    guard = f"auth: {{mode: apiKey, keys: [{keys}]}}"
    async with serving("one", ONE) as one, serving("two", TWO) as two:
        document = text(one.port, two.port).replace("server: all}]", f"server: all, {guard}}}]")
        async with running(tmp_path, {"all.yaml": document}) as gateway:
            everything, some = [await _session(gateway, key) for key in (wide, narrow)]
            listed = await everything("tools/list")
            assert names(listed) == ["echo", "search", "both", "big.name", "find", "two_read"]
            assert names(await some("tools/list")) == ["both", "find"]
            for method in ("prompts/list", "resources/list", "resources/templates/list"):
                assert [] in (await some(method)).result.values()
            one.seen.clear()
            two.seen.clear()
            for method, params in (
                ("tools/call", {"name": "search"}),
                ("tools/call", {"name": "echo"}),
                ("tools/call", {"name": "two_read"}),
                ("prompts/get", {"name": "greet"}),
                ("resources/read", {"uri": "docs://one/guide"}),
                ("resources/read", {"uri": "docs://user/7"}),
                ("resources/subscribe", {"uri": "docs://one/guide"}),
                ("completion/complete", {"ref": {"type": "ref/prompt", "name": "greet"}, "argument": {}}),
                ("custom/anything", {}),
            ):
                assert "error" in (await some(method, params)).json, (method, params)
            assert {"tools/call", "resources/read", "prompts/get"}.isdisjoint(one.methods() + two.methods())
            called = await some("tools/call", {"name": "find", "Name": "read", "arguments": {}})
            said = json.loads(called.result["content"][0]["text"])
            assert said == {"name": "search", "arguments": {}}, "the name that was judged is the only one that goes on"
            assert names(await everything("tools/list"))[0] == "echo"


async def _session(gateway: Gateway, key: str) -> Callable[..., Awaitable[Reply]]:
    headers: dict[str, str | None] = {"Authorization": f"Bearer {key}", "MCP-Protocol-Version": LEGACY}
    params = {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
    greeting = await gateway.send("POST", "/all/mcp", headers, body("initialize", params))
    headers |= {"Mcp-Session-Id": greeting.headers["mcp-session-id"]}

    async def ask(method: str, params: dict[str, Any] | None = None) -> Reply:
        return await gateway.send("POST", "/all/mcp", headers, body(method, params))

    return ask


async def test_resources_prompts_and_completions_find_their_way(tmp_path: Path) -> None:
    async with world(tmp_path) as (gateway, one, two):
        client = await gateway.open(path="/all")
        for public, own, server in (
            ("docs://one/guide", "docs://one/guide", one),
            ("docs://two_/two/guide", "docs://two/guide", two),
            ("docs://two_/user/7", "docs://user/7", two),
            ("docs://user/7", "docs://user/7", one),
        ):
            read = await client.request("resources/read", {"uri": public})
            assert read.result["contents"][0]["uri"] == public
            assert server.seen[-1].message["params"]["uri"] == own
        prompt = await client.request("prompts/get", {"name": "two_greet"})
        assert prompt.result["messages"][0]["content"]["text"] == "greet"
        reference = {"type": "ref/resource", "uri": "docs://two_/user/{id}"}
        completed = await client.request(
            "completion/complete", {"ref": reference, "argument": {"name": "id", "value": ""}}
        )
        assert json.loads(completed.result["completion"]["values"][0]) == reference | {"uri": "docs://user/{id}"}


async def test_a_call_asks_for_no_list(tmp_path: Path) -> None:
    async with world(tmp_path) as (gateway, one, two):
        client = await gateway.open(path="/all")
        before = len(one.seen) + len(two.seen)
        for _ in range(3):
            await client.request("tools/call", {"name": "find"})
            await client.request("tools/list")
        second = await gateway.open(path="/all")
        await second.request("tools/list")
        asked = [method for method in [*one.methods(), *two.methods()] if method.endswith("/list")]
        assert len(asked) == 2 * 4 + 1
        assert len(one.seen) + len(two.seen) - before >= 3


async def test_a_client_hears_no_progress_but_its_servers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers of ours, told while the lists are asked for, would stand before those that the server counts from 0."""
    monkeypatch.setattr(Progress, "INTERVAL", 0.0)
    async with world(tmp_path) as (gateway, one, _):
        act = one.act

        async def slow(exchange: Exchange) -> bool | None:
            gateway.worker.world.progress.sweep()
            return await act(exchange)

        one.act = slow
        reply = await gateway.modern("tools/call", {"name": "search"}, path="/all", meta={"progressToken": "p"})
        assert one.methods().count("tools/list") == 2
        assert reply.headers["content-type"] == "application/json", "nothing was said before the answer"
        assert reply.json["result"]["content"]


async def test_a_collision_hides_the_later_and_says_how_to_mend_it(tmp_path: Path) -> None:
    own = 'tools: [{name: both, request: {url: "REST/echo"}}]'
    async with world(tmp_path, own=own) as (gateway, _, _):
        client = await gateway.open(path="/all")
        assert names(await client.request("tools/list")) == ["both", "search", "big.name", "find", "two_read"]
        assert "tools both of one is hidden: the document has the same" in gateway.log()
        assert "a prefix, such as one_" in gateway.log()
        (view,) = gateway.worker.world.views.report()
        assert [remark["name"] for remark in view["remarks"] if remark["hidden"]] == ["both"]


async def test_one_dead_server_leaves_the_others_working_and_is_named(tmp_path: Path) -> None:
    async with serving("one", ONE) as one, running(tmp_path, {"all.yaml": text(one.port, 1)}) as gateway:
        client = await gateway.open(path="/all")
        assert "## Not available now\n\n- two: " in client.opened.result["instructions"]
        assert names(await client.request("tools/list")) == ["echo", "search", "both", "big.name"]
        refused = await client.request("tools/call", {"name": "find"})
        assert "two" in refused.json["error"]["message"]
        assert "Not available now" in refused.json["error"]["message"]
        assert (await client.request("tools/call", {"name": "search"})).status == 200


async def test_with_all_servers_dead_the_list_is_an_error(tmp_path: Path) -> None:
    async with running(tmp_path, {"all.yaml": text(1, 1, own="")}) as gateway:
        client = await gateway.open(path="/all")
        error = (await client.request("tools/list")).json["error"]
        assert "one (" in error["message"]
        assert "two (" in error["message"]


async def test_tools_of_a_server_that_comes_back_are_announced(tmp_path: Path) -> None:
    async with serving("one", ONE) as one, contextlib.AsyncExitStack() as later:
        async with serving("two", TWO) as two:
            port = two.port
        async with running(tmp_path, {"all.yaml": text(one.port, port)}) as gateway:
            client = await gateway.open(path="/all")
            assert "find" not in names(await client.request("tools/list"))
            stream = await client.get_stream()
            await later.enter_async_context(serving("two", TWO, port=port))
            await told(stream, "notifications/tools/list_changed")
            stream.abort()
            assert "find" in names(await client.request("tools/list"))


async def test_a_change_of_one_servers_list_is_told_and_seen(tmp_path: Path) -> None:
    tools = list(ONE)
    async with (
        serving("one", tools) as one,
        serving("two", TWO) as two,
        running(tmp_path, {"all.yaml": text(one.port, two.port)}) as gateway,
    ):
        client = await gateway.open(path="/all")
        await client.request("tools/list")
        stream = await client.get_stream()
        tools.append(tool("new"))
        await listened_to(one)
        one.streams[-1].event({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"})
        await told(stream, "notifications/tools/list_changed")
        stream.abort()
        assert "new" in names(await client.request("tools/list"))


async def test_a_subscription_hears_of_every_server_though_nobody_listed_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views, "IDLE", -1.0)
    async with world(tmp_path) as (gateway, one, _):
        shown = gateway.worker.world.views
        wanted = {"toolsListChanged": True, "resourceSubscriptions": ["docs://one/guide"]}
        stream = await gateway.modern_stream("subscriptions/listen", {"notifications": wanted}, path="/all")
        granted = await stream.event()
        assert granted is not None
        assert granted.json["params"]["notifications"]["resourceSubscriptions"] == ["docs://one/guide"]
        await listened_to(one)
        shown.sweep()
        assert shown.report(), "what is listened to is not let go"
        one.streams[-1].event({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"})
        told = await stream.event()
        assert told is not None
        assert told.json["method"] == "notifications/tools/list_changed"
        stream.abort()
        async with asyncio.timeout(5):
            while shown.report():
                await asyncio.sleep(0.01)
                shown.sweep()


async def test_an_update_of_a_subscribed_resource_is_told_by_its_public_uri(tmp_path: Path) -> None:
    async with world(tmp_path) as (gateway, _, two):
        client = await gateway.open(path="/all")
        stream = await client.get_stream()
        public = "docs://two_/two/guide"
        assert (await client.request("resources/subscribe", {"uri": public})).status == 200
        assert two.seen[-1].message["params"] == {"uri": "docs://two/guide"}
        await listened_to(two)
        update = {"jsonrpc": "2.0", "method": "notifications/resources/updated", "params": {"uri": "docs://two/guide"}}
        two.streams[-1].event(update)
        assert await told(stream, "notifications/resources/updated") == {"uri": public}
        stream.abort()


async def test_over_sse_too(tmp_path: Path) -> None:
    async with world(tmp_path) as (gateway, _, _):
        client = await gateway.open_sse("/all")
        listed = await client.request("tools/list")
        assert [entry["name"] for entry in listed["result"]["tools"]][-2:] == ["find", "two_read"]
        client.wire.abort()
