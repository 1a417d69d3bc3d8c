"""The stateless era, statement by statement."""

from typing import Any

from tests.fakes.gateway import MODERN, Gateway, modern_body, modern_headers
from tests.fakes.http_wire import Event, Reply, Wire
from tests.interaction.documents import USERS
from tests.interaction.rows import dropped_within_a_second, eventually, refused, row

from portico.wire import errors

SERVER = "io.modelcontextprotocol/serverInfo"
SUBSCRIPTION = "io.modelcontextprotocol/subscriptionId"
EVERYTHING: dict[str, Any] = {
    "toolsListChanged": True,
    "promptsListChanged": True,
    "resourcesListChanged": True,
    "resourceSubscriptions": ["users://guide"],
}
CACHED: tuple[tuple[str, dict[str, Any]], ...] = (
    ("server/discover", {}),
    ("tools/list", {}),
    ("prompts/list", {}),
    ("resources/list", {}),
    ("resources/templates/list", {}),
    ("resources/read", {"uri": "users://guide"}),
    ("resources/read", {"uri": "users://live"}),
    ("resources/read", {"uri": "users://user/3"}),
)
GREETING = {"name": "welcome", "arguments": {"name": "Ada"}}
COMPLETION = {"ref": {"type": "ref/prompt", "name": "welcome"}, "argument": {"name": "name", "value": "a"}}
OTHERS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("tools/call", {"name": "echo"}),
    ("tools/call", {"name": "echo", "arguments": {"word": 5}}),
    ("prompts/get", GREETING),
    ("completion/complete", COMPLETION),
)


@row("modern: no handshake")
async def _(gateway: Gateway) -> None:
    params = {"protocolVersion": MODERN, "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
    refused(await gateway.modern("initialize", params), 404, errors.METHOD_NOT_FOUND)


@row("modern: no session")
async def _(gateway: Gateway) -> None:
    sessions = len(gateway.worker.world.sessions)
    for method, params in (*CACHED, *OTHERS):
        assert "mcp-session-id" not in (await gateway.modern(method, params)).headers
    assert len(gateway.worker.world.sessions) == sessions


@row("modern: legacy methods")
async def _(gateway: Gateway) -> None:
    for method, params in (
        ("ping", {}),
        ("logging/setLevel", {"level": "info"}),
        ("resources/subscribe", {"uri": "users://guide"}),
        ("resources/unsubscribe", {"uri": "users://guide"}),
    ):
        refused(await gateway.modern(method, params), 404, errors.METHOD_NOT_FOUND)


@row("modern: resultType")
async def _(gateway: Gateway) -> None:
    for method, params in (*CACHED, *OTHERS):
        assert (await gateway.modern(method, params)).result["resultType"] == "complete", method


@row("modern: cache hints")
async def _(gateway: Gateway) -> None:
    for method, params in CACHED:
        result = (await gateway.modern(method, params)).result
        assert (result["ttlMs"], result["cacheScope"]) == (90_000, "public"), method
    for method, params in OTHERS:
        assert "ttlMs" not in (await gateway.modern(method, params)).result, method


@row("modern: cache default")
async def _(gateway: Gateway) -> None:
    result = (await gateway.modern("tools/list", path="/open")).result
    assert (result["ttlMs"], result["cacheScope"]) == (0, "private")


@row("modern: serverInfo")
async def _(gateway: Gateway) -> None:
    for method, params in (*CACHED, *OTHERS):
        info = (await gateway.modern(method, params)).result["_meta"][SERVER]
        assert (info["name"], info["version"], info["title"]) == ("users", "9.1", "Users")
    # Pictures and prose are told once, by the greeting.
    greeting = (await gateway.modern("server/discover")).result["_meta"][SERVER]
    assert greeting["icons"][0]["src"] == "https://example.com/icon.png"


@row("modern: discover")
async def _(gateway: Gateway) -> None:
    result = (await gateway.modern("server/discover")).result
    assert result["supportedVersions"] == [MODERN, "2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"]
    assert result["instructions"] == "Look a user up first."
    assert {"tools", "prompts", "resources", "completions"} <= result["capabilities"].keys()
    only = (await gateway.modern("server/discover", path="/modern")).result
    assert only["supportedVersions"] == [MODERN]
    assert "prompts" not in only["capabilities"]


async def _listen(gateway: Gateway, wanted: dict[str, Any], identifier: Any = 1) -> tuple[Wire, Event]:
    wire = await gateway.modern_stream("subscriptions/listen", {"notifications": wanted}, identifier=identifier)
    first = await wire.event()
    assert first is not None
    return wire, first


@row("modern: listen acknowledges")
async def _(gateway: Gateway) -> None:
    for identifier in ("listen-1", 17):
        wanted = EVERYTHING | {"resourceSubscriptions": ["users://guide", "users://nothing", "users://user/12"]}
        wire, first = await _listen(gateway, wanted, identifier)
        wire.abort()
        assert first.json["method"] == "notifications/subscriptions/acknowledged"
        assert first.json["params"]["_meta"] == {SUBSCRIPTION: identifier}
        granted = first.json["params"]["notifications"]
        assert granted["toolsListChanged"] is True
        assert granted["resourceSubscriptions"] == ["users://guide", "users://user/12"]
    before = len(gateway.worker.world.subscriptions)
    refused(await gateway.modern("subscriptions/listen", {}), 200, errors.INVALID_PARAMS)
    await eventually(lambda: len(gateway.worker.world.subscriptions) <= before)


@row("modern: listen tells", "changing")
async def _(gateway: Gateway) -> None:
    all_of_it, _ = await _listen(gateway, EVERYTHING, "all")
    prompts, _ = await _listen(gateway, {"promptsListChanged": True}, "prompts")
    gateway.write(
        "users.yaml", USERS.replace("- name: number", "- name: number\n    title: New").replace("# Guide", "# ABCDE")
    )
    await gateway.reload()
    told = [await all_of_it.event(), await all_of_it.event()]
    assert [event.json["method"] for event in told if event] == [
        "notifications/tools/list_changed",
        "notifications/resources/updated",
    ]
    assert all(event.json["params"]["_meta"] == {SUBSCRIPTION: "all"} for event in told if event)
    assert told[1] is not None
    assert told[1].json["params"]["uri"] == "users://guide"
    gateway.write("users.yaml", USERS.replace("description: A greeting.", "description: Another."))
    await gateway.reload()
    first = await prompts.event()
    assert first is not None
    assert first.json["method"] == "notifications/prompts/list_changed"
    assert first.json["params"]["_meta"] == {SUBSCRIPTION: "prompts"}


def _check_end(last: Event | None, identifier: Any) -> None:
    assert last is not None
    assert last.json["id"] == identifier
    assert last.json["result"]["resultType"] == "complete"
    assert last.json["result"]["_meta"][SUBSCRIPTION] == identifier


@row("modern: listen ends", "changing")
async def _(gateway: Gateway) -> None:
    wire, _ = await _listen(gateway, EVERYTHING, 5)
    gateway.stop.set()
    _check_end(await wire.event(), 5)
    assert await wire.event() is None


@row("modern: listen ends with its endpoint", "changing")
async def _(gateway: Gateway) -> None:
    wire, _ = await _listen(gateway, EVERYTHING, "gone")
    gateway.write("users.yaml", USERS.replace("prefix: /users", "prefix: /people"))
    await gateway.reload()
    _check_end(await wire.event(), "gone")
    assert await wire.event() is None
    assert (await gateway.modern("tools/list")).status == 404


@row("modern: no resumption")
async def _(gateway: Gateway) -> None:
    params = {"name": "echo"}
    headers = modern_headers("tools/call", params) | {"Last-Event-ID": "0-1", "Accept": "text/event-stream"}
    for meta in ({}, {"progressToken": 3}):
        reply = await gateway.send("POST", "/users/mcp", headers, modern_body("tools/call", params, meta))
        (event,) = reply.events
        assert event.identifier is None
        assert event.retry is None
        assert event.json["result"]["isError"] is False


@row("modern: progress")
async def _(gateway: Gateway) -> None:
    wire = await gateway.modern_stream("tools/call", {"name": "hold"}, meta={"progressToken": "tok"}, identifier=3)
    first, second = await wire.event(), await wire.event()
    assert first is not None
    assert second is not None
    for event in (first, second):
        assert event.json["method"] == "notifications/progress"
        assert event.json["params"]["progressToken"] == "tok"
    assert 0 < first.json["params"]["progress"] < second.json["params"]["progress"] <= first.json["params"]["total"]
    gateway.rest.release.set()
    last = await wire.event()
    assert last is not None
    assert (last.json["id"], last.json["result"]["isError"]) == (3, False)
    assert await wire.event() is None


@row("modern: cancellation")
async def _(gateway: Gateway) -> None:
    wire = await gateway.connect()
    params = {"name": "hold"}
    headers = modern_headers("tools/call", params) | {"Accept": "application/json"}
    await wire.send(gateway.encode("POST", "/users/mcp", headers, modern_body("tools/call", params)))
    await gateway.rest.until(gateway.rest.held)
    wire.abort()
    await dropped_within_a_second(gateway)
    await eventually(lambda: any(line["outcome"] == "cancelled" for line in gateway.lines()))


@row("modern: order", "changing")
async def _(gateway: Gateway) -> None:
    expected = ["echo", "number", "list", "shaped", "hold", "mirrored", "user", "traced", "asks"]
    for _ in range(3):
        tools = (await gateway.modern("tools/list")).result["tools"]
        assert [tool["name"] for tool in tools] == expected
        await gateway.reload()


async def pages(ask: Any) -> list[str]:
    names: list[str] = []
    cursor = None
    for _ in range(10):
        result = (await ask({} if cursor is None else {"cursor": cursor})).result
        assert len(result["tools"]) <= 4
        names += [tool["name"] for tool in result["tools"]]
        if (cursor := result.get("nextCursor")) is None:
            return names
    raise AssertionError("the pages do not end")


async def check_pagination(ask: Any) -> None:
    whole = ["echo", "number", "list", "shaped", "hold", "mirrored", "user", "traced", "asks"]
    assert await pages(ask) == whole
    for wrong in ("page-3", "page-0", "page--1", "page-x", "page-٢", "", "page-00000000000001"):
        reply: Reply = await ask({"cursor": wrong})
        assert (reply.status, reply.error["code"]) == (200, errors.INVALID_PARAMS), wrong


@row("modern: pagination")
async def _(gateway: Gateway) -> None:
    await check_pagination(lambda params: gateway.modern("tools/list", params, path="/paged"))


async def check_completion(ask: Any) -> None:
    values = (await ask(COMPLETION)).result["completion"]
    assert values == {"values": ["Ada", "Alan", "Grace"], "total": 3, "hasMore": False}
    template = {"ref": {"type": "ref/resource", "uri": "users://user/{id}"}, "argument": {"name": "id", "value": "1"}}
    assert (await ask(template)).result["completion"]["values"] == ["1", "12"]
    free = {"ref": {"type": "ref/prompt", "name": "welcome"}, "argument": {"name": "tone", "value": ""}}
    assert (await ask(free)).result["completion"]["values"] == []
    for wrong in (
        {"type": "ref/prompt", "name": "nobody"},
        {"type": "ref/resource", "uri": "users://x"},
        {"type": "x"},
    ):
        reply = await ask({"ref": wrong, "argument": {"name": "id", "value": ""}})
        assert reply.error["code"] == errors.INVALID_PARAMS


@row("modern: completion")
async def _(gateway: Gateway) -> None:
    await check_completion(lambda params: gateway.modern("completion/complete", params))


@row("modern: log level")
async def _(gateway: Gateway) -> None:
    level = "io.modelcontextprotocol/logLevel"
    reply = await gateway.modern("tools/call", {"name": "echo"}, meta={level: "chatty"})
    refused(reply, 200, errors.INVALID_PARAMS)
    wire = await gateway.modern_stream("tools/call", {"name": "echo"}, meta={level: "debug"})
    while (event := await wire.event()) is not None and "result" not in event.json:
        assert event.json["method"] == "notifications/message"
    assert event is not None


@row("modern: trace context")
async def _(gateway: Gateway) -> None:
    meta = {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "tracestate": "a=b"}
    assert (await gateway.modern("tools/call", {"name": "echo"}, meta=meta)).result["isError"] is False


@row("modern: sentinel")
async def _(gateway: Gateway) -> None:
    name = await gateway.modern("tools/call", {"name": "echo"}, headers={"Mcp-Name": "=?base64?ZWNobw==?="})
    assert name.result["isError"] is False
    params = {"name": "mirrored", "arguments": {"region": "Zürich, 東京"}}
    encoded = {"Mcp-Param-Region": "=?base64?WsO8cmljaCwg5p2x5Lqs?="}
    assert (await gateway.modern("tools/call", params, headers=encoded)).result["isError"] is False
    literal = {"name": "mirrored", "arguments": {"region": "=?base64?literal?="}}
    twice = {"Mcp-Param-Region": "=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?="}
    assert (await gateway.modern("tools/call", literal, headers=twice)).result["isError"] is False
    as_it_is = {"Mcp-Param-Region": "=?base64?literal?="}
    refused(await gateway.modern("tools/call", literal, headers=as_it_is), 400, errors.HEADER_MISMATCH)


@row("modern: absent param")
async def _(gateway: Gateway) -> None:
    for arguments in ({}, None):
        params: dict[str, Any] = {"name": "mirrored"} | ({} if arguments is None else {"arguments": arguments})
        assert (await gateway.modern("tools/call", params)).result["isError"] is False
        reply = await gateway.modern("tools/call", params, headers={"Mcp-Param-Region": "eu"})
        refused(reply, 400, errors.HEADER_MISMATCH)
    null = await gateway.modern("tools/call", {"name": "mirrored", "arguments": {"region": None}})
    assert null.status == 200
    unknown = await gateway.modern("tools/call", {"name": "echo"}, headers={"Mcp-Param-Unheard-Of": "x"})
    assert unknown.result["isError"] is False


@row("modern: numeric param")
async def _(gateway: Gateway) -> None:
    params = {"name": "mirrored", "arguments": {"count": 42}}
    for right in ("42", "42.0"):
        reply = await gateway.modern("tools/call", params, headers={"Mcp-Param-Count": right})
        assert reply.result["isError"] is False, right
    for wrong in ("43", "4_2", "forty-two", "nan", "0x2a"):
        refused(
            await gateway.modern("tools/call", params, headers={"Mcp-Param-Count": wrong}), 400, errors.HEADER_MISMATCH
        )
    large = {"name": "mirrored", "arguments": {"count": 9007199254740993}}
    reply = await gateway.modern("tools/call", large, headers={"Mcp-Param-Count": "9007199254740992"})
    refused(reply, 400, errors.HEADER_MISMATCH)
