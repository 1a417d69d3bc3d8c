"""The table: one situation, one era, one row."""

from typing import Any

from tests.fakes.gateway import (
    LEGACY,
    MODERN,
    Gateway,
    body,
    modern_body,
    modern_headers,
    modern_meta,
    notification,
)
from tests.fakes.http_wire import Reply
from tests.interaction.rows import dropped_within_a_second, refused, row

from portico.wire import errors

MCP = "/users/mcp"
FOR_LEGACY: dict[str, str | None] = {"MCP-Protocol-Version": LEGACY}
FOR_MODERN = modern_headers("tools/list")
ARRAY = b"[" + body("ping", identifier=1) + b"," + body("ping", identifier=2) + b"]"
CALL: dict[str, Any] = {"name": "echo", "arguments": {}}


@row("body too large | legacy")
async def _(gateway: Gateway) -> None:
    await _too_large(gateway, FOR_LEGACY)


@row("body too large | modern")
async def _(gateway: Gateway) -> None:
    await _too_large(gateway, FOR_MODERN)


async def _too_large(gateway: Gateway, headers: dict[str, str | None]) -> None:
    announced = await gateway.send("POST", MCP, headers | {"Content-Length": str(5 << 20)})
    assert announced.status == 413
    wire = await gateway.connect()
    await wire.send(gateway.encode("POST", MCP, headers | {"Content-Length": None, "Transfer-Encoding": "chunked"}))
    chunk = b" " * (1 << 20)
    for _ in range(4):
        await wire.send(b"%x\r\n%b\r\n" % (len(chunk), chunk))
    await wire.send(b"1\r\n \r\n0\r\n\r\n")
    assert (await wire.reply()).status == 413
    assert await wire.at_end()
    just = b" " * ((4 << 20) - 2) + b"{}"
    assert (await gateway.send("POST", MCP, headers, just)).status == 400


@row("Host or Origin not allowed | legacy")
async def _(gateway: Gateway) -> None:
    await _wrong_place(gateway, FOR_LEGACY, body("ping"))


@row("Host or Origin not allowed | modern")
async def _(gateway: Gateway) -> None:
    await _wrong_place(gateway, FOR_MODERN, modern_body("tools/list"))


async def _wrong_place(gateway: Gateway, headers: dict[str, str | None], raw: bytes) -> None:
    for wrong in ({"Host": "evil.example"}, {"Origin": "https://evil.example"}, {"Origin": "null"}):
        assert (await gateway.send("POST", MCP, headers | wrong, raw)).status == 403
    for right in ({"Host": "localhost:80"}, {"Origin": gateway.url}, {"Origin": "http://localhost:3000"}):
        assert (await gateway.send("POST", MCP, headers | right, raw)).status == 200


@row("Content-Type not JSON | legacy")
async def _(gateway: Gateway) -> None:
    await _wrong_type(gateway, FOR_LEGACY, body("ping"))


@row("Content-Type not JSON | modern")
async def _(gateway: Gateway) -> None:
    await _wrong_type(gateway, FOR_MODERN, modern_body("tools/list"))


async def _wrong_type(gateway: Gateway, headers: dict[str, str | None], raw: bytes) -> None:
    for wrong in ("text/plain", "application/jsonp", "application/x-www-form-urlencoded", "", None):
        assert (await gateway.send("POST", MCP, headers | {"Content-Type": wrong}, raw)).status == 415
    right = {"Content-Type": "Application/JSON ; charset=utf-8"}
    assert (await gateway.send("POST", MCP, headers | right, raw)).status == 200


@row("Accept lacks JSON and event-stream | legacy")
async def _(gateway: Gateway) -> None:
    reply = await gateway.send("POST", MCP, FOR_LEGACY | {"Accept": "text/plain, image/*"}, body("ping"))
    assert reply.status == 406


@row("Accept lacks JSON and event-stream | modern")
async def _(gateway: Gateway) -> None:
    reply = await gateway.send("POST", MCP, FOR_MODERN | {"Accept": "text/plain"}, modern_body("tools/list"))
    assert reply.status == 406


NOT_JSON = (
    b"",
    b"{",
    b"nonsense",
    b'{"jsonrpc":"2.0","id":1,"method":"ping"} x',
    b"\xff\xfe",
    b"{" * 5000,
    b"[" * 5000,
)
NOT_ENVELOPES = (
    b"null",
    b'"text"',
    b"{}",
    b'{"jsonrpc":"1.0","id":1,"method":"ping"}',
    b'{"jsonrpc":"2.0","id":1.5,"method":"ping"}',
    b'{"jsonrpc":"2.0","id":null,"method":"ping"}',
    b'{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}',
    b'{"jsonrpc":"2.0","id":1,"\\u0069d":2,"method":"ping"}',
    b'{"jsonrpc":"2.0","id":9007199254740993,"method":"ping"}',
    b'{"jsonrpc":"2.0","id":"' + b"i" * 257 + b'","method":"ping"}',
    b'{"jsonrpc":"2.0","id":1,"method":"ping","params":7}',
)


@row("parse error | legacy")
async def _(gateway: Gateway) -> None:
    await _all_refused(gateway, FOR_LEGACY, NOT_JSON, errors.PARSE_ERROR)


@row("parse error | modern")
async def _(gateway: Gateway) -> None:
    await _all_refused(gateway, FOR_MODERN, NOT_JSON, errors.PARSE_ERROR)


@row("bad envelope | legacy")
async def _(gateway: Gateway) -> None:
    await _all_refused(gateway, FOR_LEGACY, NOT_ENVELOPES, errors.INVALID_REQUEST)


@row("bad envelope | modern")
async def _(gateway: Gateway) -> None:
    await _all_refused(gateway, FOR_MODERN, NOT_ENVELOPES, errors.INVALID_REQUEST)


async def _all_refused(gateway: Gateway, headers: dict[str, str | None], bodies: tuple[bytes, ...], code: int) -> None:
    for raw in bodies:
        refused(await gateway.send("POST", MCP, headers, raw), 400, code, identifier=None)


@row("JSON array | legacy")
async def _(gateway: Gateway) -> None:
    client = await gateway.open("2025-03-26")
    answers = (await gateway.send("POST", MCP, client.headers(), ARRAY)).json
    assert [(answer["id"], answer["result"]) for answer in answers] == [(1, {}), (2, {})]
    for version in ("2024-11-05", "2025-06-18", "2025-11-25"):
        other = await gateway.open(version)
        refused(await gateway.send("POST", MCP, other.headers(), ARRAY), 400, errors.INVALID_REQUEST, None)
    refused(await gateway.send("POST", MCP, {}, ARRAY), 400, errors.INVALID_REQUEST, None)


@row("JSON array | modern")
async def _(gateway: Gateway) -> None:
    array = b" \r\n\t[" + modern_body("tools/list") + b"]"
    refused(await gateway.send("POST", MCP, FOR_MODERN, array), 400, errors.INVALID_REQUEST, None)
    client = await gateway.open("2025-03-26")
    smuggled = client.headers(FOR_MODERN)
    refused(await gateway.send("POST", MCP, smuggled, array), 400, errors.INVALID_REQUEST, None)


@row("notification | legacy")
async def _(gateway: Gateway) -> None:
    client = await gateway.open()
    for method in ("notifications/initialized", "notifications/roots/list_changed", "notifications/unheard-of"):
        _accepted(await client.notify(method))
    _accepted(await client.notify("notifications/cancelled", {"requestId": "never seen"}))


@row("notification | modern")
async def _(gateway: Gateway) -> None:
    raw = notification("notifications/cancelled", {"requestId": 1, "_meta": modern_meta()})
    headers = FOR_MODERN | {"Mcp-Method": "notifications/cancelled"}
    _accepted(await gateway.send("POST", MCP, headers, raw))
    _accepted(await gateway.send("POST", MCP, {"MCP-Protocol-Version": MODERN}, raw))


def _accepted(reply: Reply) -> None:
    assert (reply.status, reply.body) == (202, b"")


@row("_meta misses protocolVersion or clientCapabilities | modern")
async def _(gateway: Gateway) -> None:
    whole = modern_meta()
    for missing in ("protocolVersion", "clientCapabilities"):
        meta = {key: value for key, value in whole.items() if not key.endswith(missing)}
        raw = body("tools/list", {"_meta": meta})
        error = refused(await gateway.send("POST", MCP, FOR_MODERN, raw), 400, errors.INVALID_PARAMS)
        assert "io.modelcontextprotocol/" in error["message"]
    refused(await gateway.send("POST", MCP, FOR_MODERN, body("tools/list")), 400, errors.INVALID_PARAMS)
    refused(await gateway.send("POST", MCP, FOR_MODERN, body("tools/list", {})), 400, errors.INVALID_PARAMS)


@row("MCP-Protocol-Version differs from the body | modern")
async def _(gateway: Gateway) -> None:
    raw = body("tools/list", {"_meta": modern_meta("2025-11-25")})
    refused(await gateway.send("POST", MCP, FOR_MODERN, raw), 400, errors.HEADER_MISMATCH)
    unheard = await gateway.modern("tools/list", headers={"MCP-Protocol-Version": "2031-01-01"})
    refused(unheard, 400, errors.HEADER_MISMATCH)


@row("Mcp-Method differs from the body | modern")
async def _(gateway: Gateway) -> None:
    for wrong in ("tools/call", "Tools/List", None, "", "tools\tlist"):
        reply = await gateway.modern("tools/list", headers={"Mcp-Method": wrong})
        assert "Mcp-Method" in refused(reply, 400, errors.HEADER_MISMATCH)["message"]


@row("Mcp-Name differs from the body | modern")
async def _(gateway: Gateway) -> None:
    for method, params in (
        ("tools/call", CALL),
        ("prompts/get", {"name": "welcome", "arguments": {"name": "Ada"}}),
        ("resources/read", {"uri": "users://guide"}),
    ):
        assert (await gateway.modern(method, params)).status == 200
        for wrong in ("other", None, "=?base64?b3RoZXI=?=", "=?base64?%%%?=", "f\xf6\xf6"):
            reply = await gateway.modern(method, params, headers={"Mcp-Name": wrong})
            assert "Mcp-Name" in refused(reply, 400, errors.HEADER_MISMATCH)["message"]
    assert not [seen for seen in gateway.rest.requests if seen.target != "/echo?word=hello"]


@row("Mcp-Param-* differs from the body | modern")
async def _(gateway: Gateway) -> None:
    params = {"name": "mirrored", "arguments": {"region": "eu", "count": 3, "loud": True}}
    right: dict[str, str | None] = {"Mcp-Param-Region": "eu", "Mcp-Param-Count": "3", "mcp-param-loud": "true"}
    for name, wrong in (
        ("Mcp-Param-Region", "us"),
        ("Mcp-Param-Region", "EU"),
        ("Mcp-Param-Region", None),
        ("Mcp-Param-Count", "4"),
        ("Mcp-Param-Count", "three"),
        ("mcp-param-loud", "True"),
        ("mcp-param-loud", "1"),
        ("Mcp-Param-Region", "e\xfc"),
        ("Mcp-Param-Region", "=?base64?!?="),
    ):
        refused(await gateway.modern("tools/call", params, headers=right | {name: wrong}), 400, errors.HEADER_MISMATCH)
        slow = await gateway.modern("tools/call", params, headers=right | {name: wrong}, meta={"progressToken": 1})
        refused(slow, 400, errors.HEADER_MISMATCH)
    assert not gateway.rest.requests
    assert (await gateway.modern("tools/call", params, headers=right)).result["isError"] is False


@row("unsupported version | legacy")
async def _(gateway: Gateway) -> None:
    assert (await gateway.open("1999-12-31")).version == LEGACY
    assert (await gateway.open("2024-11-05", "/young")).version == LEGACY
    client = await gateway.open("2025-06-18", "/young")
    for header in ("2024-11-05", "2025-03-26"):
        assert (await client.request("tools/list", headers={"MCP-Protocol-Version": header})).status == 400
    assert (await client.request("tools/list")).status == 200
    opening = {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
    reply = await gateway.send("POST", "/modern/mcp", {}, body("initialize", opening))
    assert refused(reply, 400, errors.UNSUPPORTED_VERSION)["data"]["supported"] == [MODERN]
    assert "mcp-session-id" not in reply.headers


@row("unsupported version | modern")
async def _(gateway: Gateway) -> None:
    for wrong in ("2031-01-01", "1.0", "draft", "2026-07-28-rc1"):
        raw = body("tools/list", {"_meta": modern_meta(wrong)})
        reply = await gateway.send("POST", MCP, FOR_MODERN | {"MCP-Protocol-Version": wrong}, raw)
        data = refused(reply, 400, errors.UNSUPPORTED_VERSION)["data"]
        assert data["requested"] == wrong
        assert data["supported"] == [MODERN, "2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"]


@row("unknown method | legacy")
async def _(gateway: Gateway) -> None:
    client = await gateway.open()
    for method in ("tools/unheard-of", "server/discover", "subscriptions/listen", ""):
        refused(await client.request(method, {}, identifier=5), 200, errors.METHOD_NOT_FOUND, 5)


@row("unknown method | modern")
async def _(gateway: Gateway) -> None:
    for method in ("tools/unheard-of", "Tools/list"):
        refused(await gateway.modern(method), 404, errors.METHOD_NOT_FOUND)


@row("missing client capability | modern")
async def _(gateway: Gateway) -> None:
    for declared in ({}, {"elicitation": {}}, {"sampling": {}}):
        meta = {"io.modelcontextprotocol/clientCapabilities": declared}
        for more in ({}, {"progressToken": 1}):
            error = refused(await gateway.modern("tools/call", {"name": "asks"}, meta=meta | more), 400, -32021)
            assert error["data"]["requiredCapabilities"] == {"elicitation": {"form": {}}}
    able = {"io.modelcontextprotocol/clientCapabilities": {"elicitation": {"form": {}}}}
    assert (await gateway.modern("tools/call", {"name": "asks"}, meta=able)).result["isError"] is False


@row("unknown or foreign session | legacy")
async def _(gateway: Gateway) -> None:
    client = await gateway.open()
    await client.delete()
    for wrong in (client.identifier, "never-issued", "", "\xff\xfe", client.identifier + "0", "a.b.c"):
        headers = {"Mcp-Session-Id": wrong}
        reply = await client.request("tools/list", headers=headers, identifier=4)
        assert reply.status == 404, wrong
        assert "nitialize" in reply.text
        get = client.headers(headers | {"Accept": "text/event-stream"})
        assert (await gateway.send("GET", MCP, get)).status == 404
        assert (await gateway.send("DELETE", MCP, client.headers(headers))).status == 404


@row("unknown or foreign session | modern")
async def _(gateway: Gateway) -> None:
    reply = await gateway.modern("tools/list", headers={"Mcp-Session-Id": "never-issued"})
    assert reply.result["tools"]


@row("GET | legacy")
async def _(gateway: Gateway) -> None:
    client = await gateway.open()
    wire = await client.get_stream()
    wire.abort()
    refusals = {
        406: client.headers({"Accept": "application/json"}),
        400: {"Accept": "text/event-stream", "MCP-Protocol-Version": LEGACY},
    }
    for status, headers in refusals.items():
        assert (await gateway.send("GET", MCP, headers)).status == status


@row("GET | modern")
async def _(gateway: Gateway) -> None:
    headers = {"MCP-Protocol-Version": MODERN, "Accept": "text/event-stream"}
    reply = await gateway.send("GET", MCP, headers)
    assert (reply.status, reply.headers["allow"]) == (405, "POST")


@row("DELETE | legacy")
async def _(gateway: Gateway) -> None:
    client = await gateway.open()
    assert (await client.delete()).status in (200, 204)
    assert (await client.request("ping")).status == 404
    assert (await gateway.send("DELETE", MCP, FOR_LEGACY)).status == 400


@row("DELETE | modern")
async def _(gateway: Gateway) -> None:
    client = await gateway.open()
    reply = await gateway.send("DELETE", MCP, client.headers({"MCP-Protocol-Version": MODERN}))
    assert (reply.status, reply.headers["allow"]) == (405, "POST")
    assert (await client.request("ping")).status == 200


@row("client closes the response stream | legacy")
async def _(gateway: Gateway) -> None:
    client = await gateway.open()
    wire = await client.post_stream("tools/call", {"name": "hold", "_meta": {"progressToken": "p"}}, identifier=7)
    primed = await wire.event()
    assert primed is not None
    await gateway.rest.until(gateway.rest.held)
    wire.abort()
    resumed = await client.get_stream(primed.identifier)
    assert not gateway.rest.dropped.is_set()
    gateway.rest.release.set()
    while (event := await resumed.event()) is not None and "result" not in event.json:
        pass
    assert event is not None
    assert event.json["id"] == 7
    assert await resumed.event() is None


@row("client closes the response stream | modern")
async def _(gateway: Gateway) -> None:
    wire = await gateway.modern_stream("tools/call", {"name": "hold"}, meta={"progressToken": "p"})
    await gateway.rest.until(gateway.rest.held)
    wire.abort()
    await dropped_within_a_second(gateway)


@row("resource not found | legacy")
async def _(gateway: Gateway) -> None:
    client = await gateway.open()
    for uri in ("users://nothing", "users://user/1/2", ""):
        reply = await client.request("resources/read", {"uri": uri}, identifier=3)
        assert refused(reply, 200, errors.RESOURCE_NOT_FOUND, 3)["data"]["uri"] == uri


@row("resource not found | modern")
async def _(gateway: Gateway) -> None:
    for uri in ("users://nothing", "users://user/1/2"):
        reply = await gateway.modern("resources/read", {"uri": uri})
        assert refused(reply, 200, errors.INVALID_PARAMS)["data"]["uri"] == uri
