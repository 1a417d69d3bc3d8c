"""What we decided where the specification's texts leave room."""

import json
from typing import Any

from tests.fakes.gateway import LEGACY, MODERN, Gateway, LegacyClient, body, modern_body, modern_headers, notification
from tests.fakes.rest import Answered
from tests.interaction.documents import USERS
from tests.interaction.rows import dropped_within_a_second, refused, row

from portico.gateway.session.memory import SessionLimits, Sessions
from portico.wire import errors

MCP = "/users/mcp"


@row("decision: accept")
async def _(gateway: Gateway) -> None:
    for right in (
        None,
        "*/*",
        "application/json",
        "text/event-stream",
        "application/*",
        "text/*;q=0.1",
        "APPLICATION/JSON",
    ):
        assert (await gateway.send("POST", MCP, {"Accept": right}, body("ping"))).status == 200, right
        modern = modern_headers("tools/list") | {"Accept": right}
        assert (await gateway.send("POST", MCP, modern, modern_body("tools/list"))).status == 200, right
    for wrong in ("text/html", "image/png, text/plain", "nonsense"):
        assert (await gateway.send("POST", MCP, {"Accept": wrong}, body("ping"))).status == 406, wrong


@row("decision: only events")
async def _(gateway: Gateway) -> None:
    client = await gateway.open()
    (event,) = (await client.request("tools/list", headers={"Accept": "text/event-stream"})).events
    assert event.json["result"]["tools"]
    reply = await gateway.modern("tools/list", headers={"Accept": "text/event-stream"})
    assert reply.headers["content-type"] == "text/event-stream"
    assert reply.events[0].json["result"]["resultType"] == "complete"


@row("decision: trimmed")
async def _(gateway: Gateway) -> None:
    params = {"name": "mirrored", "arguments": {"region": "eu"}}
    padded = {name: f" \t{value} \t" for name, value in modern_headers("tools/call", params).items()}
    padded |= {"Mcp-Param-Region": " eu\t ", "Content-Type": " application/json ", "Origin": f" {gateway.url} "}
    raw = modern_body("tools/call", params)
    assert (await gateway.send("POST", MCP, padded | {"Host": f" {gateway.host}\t"}, raw)).status == 200
    client = await gateway.open()
    session = {"Mcp-Session-Id": f"\t{client.identifier} ", "MCP-Protocol-Version": f" {LEGACY} "}
    assert (await gateway.send("POST", MCP, session, body("tools/list"))).status == 200


@row("decision: without session")
async def _(gateway: Gateway) -> None:
    assert (await gateway.send("POST", MCP, {}, body("ping"))).result == {}
    for headers in ({}, {"MCP-Protocol-Version": LEGACY}):
        for method in ("tools/list", "tools/call", "server/discover", "unheard-of", "logging/setLevel"):
            reply = await gateway.send("POST", MCP, headers, body(method, {}))
            message = refused(reply, 400, errors.INVALID_REQUEST)["message"]
            assert "Mcp-Session-Id" in message
            assert MODERN in message


@row("decision: structured")
async def _(gateway: Gateway) -> None:
    clients = [await gateway.open(version) for version in ("2025-06-18", "2025-11-25")]
    for value in ([1, 2], "text", 5, None, {"a": [1]}, True):
        gateway.rest.answers["/list"] = Answered(json.dumps(value).encode())
        gateway.rest.answers["/number"] = Answered(json.dumps(value).encode())
        modern = (await gateway.modern("tools/call", {"name": "number"})).result
        assert modern["structuredContent"] == value
        for client in clients:
            legacy = (await client.request("tools/call", {"name": "number"})).result
            assert legacy.get("structuredContent", "absent") == (value if isinstance(value, dict) else "absent")
            assert legacy["content"] == modern["content"]


@row("decision: output schema")
async def _(gateway: Gateway) -> None:
    client = await gateway.open()
    legacy = {tool["name"]: tool for tool in (await client.request("tools/list")).result["tools"]}
    modern = {tool["name"]: tool for tool in (await gateway.modern("tools/list")).result["tools"]}
    assert modern["list"]["outputSchema"] == {"type": "array"}
    assert "outputSchema" not in legacy["list"]
    assert legacy["shaped"]["outputSchema"]["properties"] == {"total": {"type": "integer"}}


@row("decision: bytes")
async def _(gateway: Gateway) -> None:
    raw = b'{ "id": 12345678901234567890, "ratio": 0.10000000000000000555,\n "text": "\\u00e9\xc3\xa9" }'
    gateway.rest.answers["/number"] = Answered(raw)
    client = await gateway.open()
    for reply in (
        await gateway.modern("tools/call", {"name": "number"}),
        await client.request("tools/call", {"name": "number"}),
    ):
        assert reply.result["content"][0]["text"].encode() == raw
        assert b'"id":12345678901234567890' in reply.body.partition(b'"structuredContent":')[2]
        assert b"0.10000000000000000555" in reply.body.partition(b'"structuredContent":')[2]
    gateway.rest.answers["/shaped"] = Answered(b'{"total": 12345678901234567890}')
    shaped = await gateway.modern("tools/call", {"name": "shaped"})
    assert b'"total":12345678901234567890' in shaped.body


@row("decision: missing name")
async def _(gateway: Gateway) -> None:
    reply = await gateway.modern("tools/call", {"name": "echo"}, headers={"Mcp-Name": None})
    assert "Mcp-Name: echo" in refused(reply, 400, errors.HEADER_MISMATCH)["message"]


@row("decision: early discover")
async def _(gateway: Gateway) -> None:
    sse = await gateway.open_sse()
    error = (await sse.request("server/discover", {}))["error"]
    assert error["code"] == errors.METHOD_NOT_FOUND
    assert "server/discover" in error["message"]
    assert "handshake" in error["message"]
    sse.wire.abort()
    wire, _ = await gateway.stream("GET", "/users/sse", {"Accept": "text/event-stream"})
    announced = await wire.event()
    assert announced is not None
    await gateway.send("POST", announced.data, {}, body("server/discover", {}))
    early = await wire.event()
    assert early is not None
    assert early.json["error"]["code"] == errors.METHOD_NOT_FOUND
    wire.abort()


@row("decision: hand-over", "pair")
async def _(pair: tuple[Gateway, Gateway]) -> None:
    owner, other = pair
    client = await owner.open()
    through = LegacyClient(other, "/users", client.identifier, client.opened)
    assert (await through.request("tools/call", {"name": "echo"})).result["isError"] is False
    wire = await through.get_stream()
    assert await wire.event() is not None
    owner.write("users.yaml", USERS.replace("- name: number", "- name: number\n    title: New"))
    await owner.reload()
    told = await wire.event()
    assert told is not None
    assert told.json["method"] == "notifications/tools/list_changed"
    held = await owner.connect()
    await held.send(owner.encode("POST", MCP, client.headers(), body("tools/call", {"name": "hold"}, "h")))
    await owner.rest.until(owner.rest.held)
    assert (await through.notify("notifications/cancelled", {"requestId": "h"})).status == 202
    await dropped_within_a_second(owner)
    sse = await owner.open_sse()
    assert (await other.send("POST", sse.announced.data, {}, body("ping", None, 77))).status == 202
    answer = await sse.wire.event()
    assert answer is not None
    assert answer.json["id"] == 77
    assert (await through.delete()).status == 204
    assert await wire.event() is None
    assert (await client.request("ping")).status == 404


@row("decision: dead owner", "pair")
async def _(pair: tuple[Gateway, Gateway]) -> None:
    living, _ = pair
    gone = Sessions("0123456789ab", living.key, SessionLimits(), lambda: 0.0)
    orphan = gone.create("/users", None, "127.0.0.1").identifier
    client = LegacyClient(living, "/users", orphan, (await living.open()).opened)
    assert (await client.request("tools/list")).status == 404
    assert (await client.delete()).status == 404
    get = client.headers({"Accept": "text/event-stream"})
    assert (await living.send("GET", MCP, get)).status == 404
    raw = notification("notifications/initialized")
    assert (await living.send("POST", f"/users/message?sessionId={orphan}", {}, raw)).status == 404
    nowhere: dict[str, Any] = client.headers({"MCP-Protocol-Version": "2025-03-26"})
    assert (await living.send("POST", MCP, nowhere, b"[{}]")).status == 404
