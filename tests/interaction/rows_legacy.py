"""The handshake era, statement by statement."""

import base64
import re
from typing import Any

from tests.fakes.gateway import LEGACY, Gateway, LegacyClient, body, notification
from tests.fakes.http_wire import Wire
from tests.interaction.documents import USERS
from tests.interaction.rows import dropped_within_a_second, eventually, refused, row
from tests.interaction.rows_modern import check_completion, check_pagination

from portico.wire import errors

CHANGED = USERS.replace("- name: number", "- name: number\n    title: New")
HOLD: dict[str, Any] = {"name": "hold"}
JSON_ONLY = {"Accept": "application/json"}


@row("legacy: session id")
async def _(gateway: Gateway) -> None:
    ids = [(await gateway.open()).identifier for _ in range(20)]
    assert all(re.fullmatch(r"[\x21-\x7e]+", identifier) for identifier in ids)
    parts = [identifier.split(".") for identifier in ids]
    assert {worker for worker, _, _ in parts} == {gateway.worker.world.name}
    assert len({nonce for _, nonce, _ in parts}) == 20
    assert all(len(base64.urlsafe_b64decode(nonce)) * 8 >= 128 for _, nonce, _ in parts)


@row("legacy: session bound")
async def _(gateway: Gateway) -> None:
    client = await gateway.open()
    stray = LegacyClient(gateway, "/paged", client.identifier, client.opened)
    assert (await stray.request("tools/list")).status == 404
    assert (await gateway.send("GET", "/paged/mcp", stray.headers({"Accept": "text/event-stream"}))).status == 404
    assert (await stray.delete()).status == 404
    batch = await gateway.send("POST", "/paged/mcp", stray.headers({"MCP-Protocol-Version": "2025-03-26"}), b"[{}]")
    assert batch.status == 404
    message = await gateway.send("POST", f"/users/message?sessionId={client.identifier}", {}, body("ping"))
    assert message.status == 404
    sse = await gateway.open_sse()
    elsewhere = sse.announced.data.replace("/users/", "/paged/")
    assert (await gateway.send("POST", elsewhere, {}, body("ping"))).status == 404
    sse.wire.abort()
    assert (await client.request("tools/list")).status == 200


@row("legacy: stream", "changing")
async def _(gateway: Gateway) -> None:
    client = await gateway.open()
    wire = await client.get_stream()
    primed = await wire.event()
    assert primed is not None
    assert primed.identifier
    assert primed.data == ""
    assert primed.retry is not None
    gateway.write("users.yaml", CHANGED)
    await gateway.reload()
    told = await wire.event()
    assert told is not None
    assert told.identifier
    assert told.identifier != primed.identifier
    for version in ("2024-11-05", "2025-03-26", "2025-06-18"):
        older = await (await gateway.open(version)).get_stream()
        older.abort()


@row("legacy: resumption", "changing")
async def _(gateway: Gateway) -> None:
    client = await gateway.open()
    wire = await client.get_stream()
    primed = await wire.event()
    assert primed is not None
    await _change(gateway, 1)
    seen = await wire.event()
    assert seen is not None
    wire.abort()
    await eventually(lambda: not len(gateway.worker.world.streams))
    await _change(gateway, 2)
    await _change(gateway, 3)
    resumed = await client.get_stream(seen.identifier)
    missed = [await resumed.event(), await resumed.event()]
    await _change(gateway, 4)
    events = [seen, *missed, await resumed.event()]
    assert all(event.json["method"] == "notifications/tools/list_changed" for event in events if event)
    identifiers = [event.identifier for event in events if event]
    assert len(set(identifiers)) == 4
    again = await client.get_stream(primed.identifier)
    assert [event.identifier for event in [await again.event() for _ in range(4)] if event] == identifiers
    assert await resumed.event() is None


async def _change(gateway: Gateway, number: int) -> None:
    gateway.write("users.yaml", USERS.replace("- name: number", f"- name: number\n    title: Change {number}"))
    await gateway.reload()


@row("legacy: delete")
async def _(gateway: Gateway) -> None:
    client = await gateway.open()
    wire = await client.get_stream()
    await wire.event()
    assert (await client.delete()).status in (200, 204)
    assert await wire.event() is None
    assert (await client.request("tools/list")).status == 404
    assert (await client.delete()).status == 404


@row("legacy: sse")
async def _(gateway: Gateway) -> None:
    client = await gateway.open_sse()
    assert client.announced.name == "endpoint"
    assert client.announced.data.startswith("/users/message?sessionId=")
    reply = await client.post(body("tools/call", {"name": "echo"}, "a-1"))
    assert reply.status == 202
    event = await client.wire.event()
    assert event is not None
    assert event.name == "message"
    assert (event.json["id"], event.json["result"]["isError"]) == ("a-1", False)
    assert (await client.post(notification("notifications/initialized"))).status == 202
    bad = await client.post(b"{")
    assert (bad.status, bad.error["code"]) == (400, errors.PARSE_ERROR)
    assert (await client.request("tools/unheard-of"))["error"]["code"] == errors.METHOD_NOT_FOUND
    assert (await gateway.send("POST", "/users/message", {}, body("ping"))).status == 404
    assert (await gateway.send("GET", "/users/message")).status == 405
    assert (await gateway.send("POST", "/users/sse", {}, body("ping"))).status == 405
    client.wire.abort()


@row("legacy: sse ends")
async def _(gateway: Gateway) -> None:
    before = len(gateway.worker.world.sessions)
    client = await gateway.open_sse()
    client.wire.abort()
    await eventually(lambda: len(gateway.worker.world.sessions) == before)
    assert (await client.post(body("ping"))).status == 404


@row("legacy: sse batch")
async def _(gateway: Gateway) -> None:
    client = await gateway.open_sse(version="2025-03-26")
    batch = b"[%b,%b,%b]" % (body("ping", None, 1), notification("notifications/initialized"), body("ping", None, 2))
    assert (await client.post(batch)).status == 202
    answers = [event.json["id"] for event in [await client.wire.event(), await client.wire.event()] if event]
    assert sorted(answers) == [1, 2]
    client.wire.abort()
    other = await gateway.open_sse(version="2024-11-05")
    assert (await other.post(batch)).status == 400
    other.wire.abort()


@row("legacy: level")
async def _(gateway: Gateway) -> None:
    client = await gateway.open()
    for level in ("debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"):
        reply = await client.request("logging/setLevel", {"level": level}, headers=JSON_ONLY)
        assert reply.result == {}
    for wrong in ({"level": "chatty"}, {"level": 3}, {}):
        reply = await client.request("logging/setLevel", wrong, headers=JSON_ONLY, identifier=6)
        refused(reply, 200, errors.INVALID_PARAMS, 6)


@row("legacy: ping")
async def _(gateway: Gateway) -> None:
    for version in ("2024-11-05", LEGACY):
        client = await gateway.open(version)
        assert (await client.request("ping")).json == {"jsonrpc": "2.0", "id": 101, "result": {}}


@row("legacy: subscribe", "changing")
async def _(gateway: Gateway) -> None:
    subscriber, former, other = [await gateway.open() for _ in range(3)]
    wires = [await client.get_stream() for client in (subscriber, former, other)]
    for wire in wires:
        await wire.event()
    for client in (subscriber, former):
        assert (await client.request("resources/subscribe", {"uri": "users://guide"})).result == {}
    assert (await former.request("resources/unsubscribe", {"uri": "users://guide"})).result == {}
    reply = await subscriber.request("resources/subscribe", {"uri": "users://nothing"}, identifier=2)
    refused(reply, 200, errors.RESOURCE_NOT_FOUND, 2)
    gateway.write("users.yaml", USERS.replace("# Guide", "# ABCDE"))
    await gateway.reload()
    told = await wires[0].event()
    assert told is not None
    assert told.json == {
        "jsonrpc": "2.0",
        "method": "notifications/resources/updated",
        "params": {"uri": "users://guide"},
    }
    # The next thing that the others hear is the next change, so they heard nothing of this one.
    gateway.write("users.yaml", CHANGED.replace("# Guide", "# ABCDE"))
    await gateway.reload()
    for wire in wires[1:]:
        event = await wire.event()
        assert event is not None
        assert event.json["method"] == "notifications/tools/list_changed"


@row("legacy: progress")
async def _(gateway: Gateway) -> None:
    client = await gateway.open()
    wire = await client.post_stream("tools/call", HOLD | {"_meta": {"progressToken": 5}}, identifier=8)
    primed, first = await wire.event(), await wire.event()
    assert primed is not None
    assert first is not None
    assert first.json["method"] == "notifications/progress"
    assert first.json["params"]["progressToken"] == 5
    assert first.json["params"]["progress"] > 0
    gateway.rest.release.set()
    last = await wire.event()
    assert last is not None
    assert (last.json["id"], last.json["result"]["isError"]) == (8, False)
    assert await wire.event() is None


async def _held(gateway: Gateway, client: LegacyClient, identifier: Any) -> Wire:
    wire = await gateway.connect()
    raw = body("tools/call", HOLD, identifier)
    await wire.send(gateway.encode("POST", "/users/mcp", client.headers(), raw))
    await gateway.rest.until(gateway.rest.held)
    return wire


@row("legacy: cancellation")
async def _(gateway: Gateway) -> None:
    client = await gateway.open()
    wire = await _held(gateway, client, "c-1")
    assert (await client.notify("notifications/cancelled", {"requestId": "other"})).status == 202
    foreign = await gateway.open()
    assert (await foreign.notify("notifications/cancelled", {"requestId": "c-1"})).status == 202
    assert not gateway.rest.dropped.is_set()
    await client.notify("notifications/cancelled", {"requestId": "c-1", "reason": "changed my mind"})
    await dropped_within_a_second(gateway)
    assert (await wire.reply()).error["code"] == errors.CANCELLED


@row("legacy: sse cancellation")
async def _(gateway: Gateway) -> None:
    client = await gateway.open_sse()
    await client.post(body("tools/call", HOLD, 9))
    await gateway.rest.until(gateway.rest.held)
    await client.post(notification("notifications/cancelled", {"requestId": 9}))
    await dropped_within_a_second(gateway)
    client.wire.abort()


@row("legacy: delete cancels")
async def _(gateway: Gateway) -> None:
    client = await gateway.open()
    await _held(gateway, client, 3)
    await client.delete()
    await dropped_within_a_second(gateway)


@row("legacy: list changed", "changing")
async def _(gateway: Gateway) -> None:
    client, sse = await gateway.open(), await gateway.open_sse()
    wire = await client.get_stream()
    await wire.event()
    gateway.write("users.yaml", CHANGED)
    await gateway.reload()
    for event in (await wire.event(), await sse.wire.event()):
        assert event is not None
        assert event.json == {"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}
    titles = [tool.get("title") for tool in (await client.request("tools/list")).result["tools"]]
    assert "New" in titles


@row("legacy: completion")
async def _(gateway: Gateway) -> None:
    client = await gateway.open()
    await check_completion(lambda params: client.request("completion/complete", params))


@row("legacy: pagination")
async def _(gateway: Gateway) -> None:
    client = await gateway.open(path="/paged")
    await check_pagination(lambda params: client.request("tools/list", params))


@row("legacy: batch answers")
async def _(gateway: Gateway) -> None:
    client = await gateway.open("2025-03-26")
    parts = [
        body("tools/call", {"name": "echo"}, 1),
        notification("notifications/initialized"),
        body("tools/unheard-of", {}, "two"),
        b'{"nonsense": true}',
        body("initialize", {"protocolVersion": "2025-03-26"}, 4),
    ]
    reply = await _batch(gateway, client, parts)
    answers = {answer["id"]: answer for answer in reply.json}
    assert len(reply.json) == 4
    assert answers[1]["result"]["isError"] is False
    assert answers["two"]["error"]["code"] == errors.METHOD_NOT_FOUND
    assert answers[None]["error"]["code"] == errors.INVALID_REQUEST
    assert answers[4]["error"]["code"] == errors.INVALID_REQUEST
    assert (await _batch(gateway, client, [parts[1]])).status == 202
    for wrong in ([], [body("ping")] * 21):
        assert (await _batch(gateway, client, wrong)).status == 400
    assert len((await _batch(gateway, client, [body("ping", None, i) for i in range(20)])).json) == 20


async def _batch(gateway: Gateway, client: LegacyClient, parts: list[bytes]) -> Any:
    return await gateway.send("POST", "/users/mcp", client.headers(), b"[" + b",".join(parts) + b"]")


@row("legacy: icons")
async def _(gateway: Gateway) -> None:
    client = await gateway.open(LEGACY)
    assert client.opened.result["serverInfo"]["icons"][0]["mimeType"] == "image/png"
    tool = (await client.request("tools/list")).result["tools"][0]
    assert tool["icons"] == [{"src": "https://example.com/tool.png"}]
    assert tool["_meta"] == {"example.com/kept": [1, {"as": "it is"}]}
    assert tool["annotations"] == {"readOnlyHint": True}


@row("legacy: every revision")
async def _(gateway: Gateway) -> None:
    for version in ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"):
        client = await gateway.open(version)
        assert client.version == version
        assert (await client.notify("notifications/initialized")).status == 202
        assert (await client.request("tools/call", {"name": "echo"})).result["isError"] is False
        without_header = await client.request("tools/list", headers={"MCP-Protocol-Version": None})
        assert without_header.status == 200
        sse = await gateway.open_sse(version=version)
        assert len((await sse.request("tools/list"))["result"]["tools"]) == 9
        sse.wire.abort()


@row("legacy: double id")
async def _(gateway: Gateway) -> None:
    client = await gateway.open()
    wire = await _held(gateway, client, 5)
    assert (await client.request("ping", identifier=5)).error["code"] == errors.INVALID_REQUEST
    assert (await client.request("ping", identifier="5")).status == 200
    gateway.rest.release.set()
    assert (await wire.reply()).result["isError"] is False
    assert (await client.request("ping", identifier=5)).result == {}


@row("both: call id")
async def _(gateway: Gateway) -> None:
    client, sse = await gateway.open(), await gateway.open_sse()
    told: list[str] = []
    for reply in (
        await gateway.modern("tools/call", {"name": "echo"}),
        await gateway.modern("tools/list"),
        await client.request("tools/list"),
        client.opened,
    ):
        told.append(reply.result["_meta"]["portico/callId"])
    for reply in (
        await gateway.modern("tools/call", {"name": "nobody"}),
        await gateway.modern("nonsense"),
        await client.request("nonsense"),
        await client.request("ping", headers={"Mcp-Session-Id": "nonsense"}),
        await gateway.send("POST", "/users/mcp", {}, b"{"),
        await gateway.send("POST", "/users/mcp", {}, body("tools/list")),
        await sse.post(b"{"),
    ):
        told.append(reply.error["data"]["callId"])
    told.append((await sse.request("nonsense"))["error"]["data"]["callId"])
    for reply in (await gateway.send("GET", "/nowhere"), await gateway.send("PUT", "/users/mcp")):
        told.append(reply.headers["x-portico-call"])
    sse.wire.abort()
    assert len(set(told)) == len(told)
    assert set(told) <= {line["call"] for line in gateway.lines()}
