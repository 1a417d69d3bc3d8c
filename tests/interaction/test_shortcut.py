"""Which calls take the short way, and that everything else does not. That both ways answer alike is what every other
test here shows, for a request over ASGI never takes it.
"""

import gc
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.gateway import Gateway, body, modern_body, modern_headers, modern_meta, running
from tests.interaction.documents import USERS

from portico.gateway.exchange import Reply, Request, text_reply

pytestmark = pytest.mark.anyio

ECHO = {"name": "echo", "arguments": {"word": "hi"}}
SENT = modern_body("tools/call", ECHO)
PLAIN = body("tools/list")
LIST = {"headers": {"Mcp-Method": "tools/list", "Mcp-Name": None}}


@pytest.fixture
async def short(anyio_backend: str, tmp_path: Path) -> AsyncIterator[Gateway]:
    """A gateway that knows nothing but the short way: what does not take it is answered with 599."""
    async with running(tmp_path, {"users.yaml": USERS}, ingress="http1") as gateway:
        yield gateway


def close_the_general_way(gateway: Gateway) -> None:
    async def closed(request: Request) -> Reply:
        return text_reply(500, "the general way")

    gateway.worker.world.entry._handle = closed  # type: ignore[method-assign]


async def test_plain_calls_of_both_eras_take_the_short_way(short: Gateway) -> None:
    client = await short.open()
    close_the_general_way(short)
    for identifier in (1, "a-1", 123456789):
        modern = await short.modern("tools/call", ECHO, identifier=identifier)
        legacy = await client.request("tools/call", ECHO, identifier=identifier)
        for reply in (modern, legacy):
            assert reply.status == 200, reply.text
            assert reply.json["id"] == identifier
            assert "hi" in reply.json["result"]["content"][0]["text"]
    calls = [line for line in short.lines() if line["kind"] == "call" and line["method"] == "tools/call"]
    assert [(line["name"], line["outcome"], line["status"]) for line in calls] == [("echo", "ok", 200)] * 6


async def test_calls_in_the_order_of_the_typescript_sdk_take_the_short_way(short: Gateway) -> None:
    client = await short.open()
    close_the_general_way(short)
    for meta, headers in ((modern_meta(), modern_headers("tools/call", ECHO)), (None, client.headers())):
        params = ECHO | ({"_meta": meta} if meta else {})
        message = {"method": "tools/call", "params": params, "jsonrpc": "2.0", "id": 7}
        sent = json.dumps(message, separators=(",", ":")).encode()
        for _ in range(2):
            reply = await short.send("POST", "/users/mcp", headers, sent)
        assert (reply.status, reply.json["id"]) == (200, 7)


async def test_lists_take_the_short_way_and_are_the_same(short: Gateway) -> None:
    client = await short.open()
    # In an order of members that no SDK has, by the general way.
    heads = [modern_headers("tools/list"), client.headers()]
    bodies = [b'{"id":1,' + sent[1:-1].replace(b'"id": 1, ', b"") + b"}" for sent in (modern_body("tools/list"), PLAIN)]
    general = [await short.send("POST", "/users/mcp", head, sent) for head, sent in zip(heads, bodies, strict=True)]
    close_the_general_way(short)
    for params in (None, {}):
        again = [await short.modern("tools/list", params), await client.request("tools/list", params)]
        assert [without_call_id(reply) for reply in again] == [without_call_id(reply) for reply in general]
    called = {reply.result["_meta"]["portico/callId"] for reply in (*general, *again)}
    assert len(called) == 4
    lines = [line for line in short.lines() if line["method"] == "tools/list"]
    assert len(lines) == 6
    assert {(line["outcome"], line["status"]) for line in lines} == {("ok", 200)}


async def test_a_long_list_comes_whole_whatever_becomes_of_its_connection(short: Gateway) -> None:
    names = [f"tool-{number}" for number in range(90)]
    tools = "".join(f'\n  - {{name: {name}, description: {"x" * 900}, request: {{url: "REST/"}}}}' for name in names)
    routed = "routers: [{prefix: /long, server: long}]\nservers: [{name: long}]"
    short.write("long.yaml", f"version: 1\nname: long\n{routed}\ntools:{tools}\n")
    await short.reload()
    close_the_general_way(short)
    for draining in (False, True):
        short.worker.public.draining = draining
        reply = await short.modern("tools/list", path="/long")
        assert (reply.headers.get("connection") == "close") is draining
        assert [tool["name"] for tool in reply.result["tools"]] == names


def without_call_id(reply: Any) -> dict[str, Any]:
    return {**reply.result, "_meta": {**reply.result["_meta"], "portico/callId": ""}}


UNUSUAL: dict[str, dict[str, Any]] = {
    "another method": {"body": modern_body("ping"), "method": "ping"},
    "an unknown tool": {"params": {"name": "nobody"}},
    "arguments that do not fit": {"params": {"name": "echo", "arguments": {"word": 1}}},
    "a progress token": {"meta": {"progressToken": 1}},
    "a log level": {"meta": {"io.modelcontextprotocol/logLevel": "info"}},
    "another version in the body": {"meta": {"io.modelcontextprotocol/protocolVersion": "2025-11-25"}},
    "another tool in the head": {"headers": {"Mcp-Name": "number"}},
    "another method in the head": {"headers": {"Mcp-Method": "tools/list"}},
    "a call with the head of a list": {"headers": {"Mcp-Method": "tools/list", "Mcp-Name": None}},
    "a list with the head of a call": {"body": modern_body("tools/list")},
    "a list from a cursor on": {"body": modern_body("tools/list", {"cursor": "page-1"}), **LIST},
    "a list with a progress token": {"body": modern_body("tools/list", None, {"progressToken": 1}), **LIST},
    "a list with a name in its head": {"body": modern_body("tools/list"), "method": "tools/list"},
    "a page's origin": {"headers": {"Origin": "https://evil.example"}},
    "a host that is not ours": {"headers": {"Host": "evil.example"}},
    "events alone": {"headers": {"Accept": "text/event-stream"}},
    "a body of another kind": {"headers": {"Content-Type": "text/plain"}},
    "an id of null": {"body": SENT.replace(b'"id":1,', b'"id":null,').replace(b'"id": 1,', b'"id": null,')},
    "an id with an escape": {"identifier": 'a"b'},
    "a huge id": {"identifier": 2**60},
    "a member twice": {"body": SENT[:-1] + b',"params":{}}'},
    "a member more": {"body": SENT[:-1] + b',"more":{}}'},
    "an order of members that no SDK has": {"body": b'{"id":1,"jsonrpc":"2.0",' + SENT[SENT.index(b'"method"') :]},
    "a param that the short way does not know": {"params": {**ECHO, "cursor": "x"}},
    "brackets without end": {"params": {"name": "echo", "arguments": {"word": "[" * 80}}},
    "no body": {"body": b""},
}


@pytest.mark.parametrize("case", UNUSUAL.values(), ids=UNUSUAL)
async def test_everything_unusual_takes_the_general_way(short: Gateway, case: dict[str, Any]) -> None:
    close_the_general_way(short)
    params = case.get("params", ECHO)
    sent = case.get("body")
    if sent is None:
        sent = modern_body("tools/call", params, case.get("meta"), case.get("identifier", 1))
    headers = modern_headers(case.get("method", "tools/call"), params) | case.get("headers", {})
    for _ in range(2):
        reply = await short.send("POST", "/users/mcp", headers, sent)
        assert (reply.status, reply.text.strip()) == (500, "the general way")


async def test_what_a_reload_compiles_is_kept_from_the_garbage_collector(short: Gateway) -> None:
    before = gc.get_freeze_count()
    short.write("users.yaml", USERS.replace("name: echo", "name: said").replace("[echo]", "[said]"))
    await short.reload()
    assert gc.get_freeze_count() > before + 100


async def test_a_reload_is_seen_at_once(short: Gateway) -> None:
    assert (await short.modern("tools/call", ECHO)).status == 200
    short.write("users.yaml", USERS.replace("name: echo", "name: said").replace("[echo]", "[said]"))
    await short.reload()
    # What was found out about heads would keep what is served no more in memory.
    assert [head.lane for head in short.worker.public.known._heads.values() if head.lane is not None] == []
    reply = await short.modern("tools/call", ECHO)
    assert "Unknown tool" in reply.json["error"]["message"]
