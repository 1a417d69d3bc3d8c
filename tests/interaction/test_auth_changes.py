"""Keys that are revoked, expire and are limited while somebody uses them; and where a guarded call may land: on another
worker, on the short way, at a server that is relayed to.
"""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.gateway import LEGACY, Gateway, body, modern_body, modern_headers, running
from tests.fakes.http_wire import Wire
from tests.fakes.mcp_http import Exchange, LegacyServer, legacy_server
from tests.interaction.test_auth import GUARDED, KEYS, TOOLS, StoredKeys, bearer, opened

from portico.config.key import Key, key_hash
from portico.gateway.transport import lane

pytestmark = pytest.mark.anyio
ALL = f"        - {{name: all, hash: {key_hash(KEYS['all'])}}}\n"


@pytest.fixture
async def guarded(anyio_backend: str, ingress: str, tmp_path: Path) -> AsyncIterator[Gateway]:
    async with running(tmp_path, {"guarded.yaml": GUARDED}, ingress=ingress, limit_streams_principal=3) as gateway:
        yield gateway


def in_session(who: str, identifier: str) -> dict[str, str | None]:
    return {**bearer(KEYS[who]), "Mcp-Session-Id": identifier, "MCP-Protocol-Version": LEGACY}


async def listening(gateway: Gateway, who: str, path: str = "/keyed") -> Wire:
    params = {"notifications": {"toolsListChanged": True}}
    headers = modern_headers("subscriptions/listen") | bearer(KEYS[who])
    wire, _ = await gateway.stream("POST", f"{path}/mcp", headers, modern_body("subscriptions/listen", params))
    assert await wire.event() is not None
    return wire


async def standing(gateway: Gateway, who: str, identifier: str) -> Wire:
    wire, _ = await gateway.stream("GET", "/keyed/mcp", in_session(who, identifier) | {"Accept": "text/event-stream"})
    return wire


async def ended(wire: Wire) -> bool:
    """Whether the stream comes to its end, whatever is said before."""
    while await wire.event() is not None:
        pass
    return True


async def test_a_revoked_key_opens_nothing_more_and_what_it_has_open_ends(guarded: Gateway) -> None:
    sessions = {who: await opened(guarded, "/keyed", bearer(KEYS[who])) for who in ("all", "other")}
    streams = {who: [await listening(guarded, who), await standing(guarded, who, sessions[who])] for who in sessions}
    sse, _ = await guarded.stream("GET", "/keyed/sse", bearer(KEYS["all"]))
    raw = body("tools/call", {"name": "number"})
    for who in sessions:
        for _ in range(3):
            reply = await guarded.send("POST", "/keyed/mcp", in_session(who, sessions[who]), raw)
            assert reply.status == 200
    guarded.write("guarded.yaml", GUARDED.replace(ALL, ""))
    await guarded.reload()
    assert (await guarded.send("POST", "/keyed/mcp", in_session("all", sessions["all"]), raw)).status == 401
    assert all([await ended(wire) for wire in (*streams["all"], sse)])
    assert [session.principal.name for session in guarded.worker.world.sessions if session.principal] == ["other"]
    assert len(guarded.worker.world.subscriptions) == 1
    assert (await guarded.send("POST", "/keyed/mcp", in_session("other", sessions["other"]), raw)).status == 200
    # A new key of the same name is another principal.
    again = ALL.replace(key_hash(KEYS["all"]), key_hash(KEYS["elsewhere"]))
    guarded.write("guarded.yaml", GUARDED.replace(ALL, again))
    await guarded.reload()
    assert (await guarded.send("POST", "/keyed/mcp", in_session("elsewhere", sessions["all"]), raw)).status == 404
    for wire in streams["other"]:
        wire.abort()


async def test_a_key_revoked_in_the_store_opens_nothing_more(guarded: Gateway) -> None:
    keys = StoredKeys({"default": [Key("default", "stored", key_hash(KEYS["stored"]))]})
    guarded.worker.world.reloader._keys = keys
    await guarded.reload()
    wire = await listening(guarded, "stored")
    keys.keys = {"default": [Key("default", "stored", key_hash(KEYS["stored"]), revoked=True)]}
    await guarded.reload()
    assert (await guarded.modern("tools/list", path="/keyed", headers=bearer(KEYS["stored"]))).status == 401
    assert await ended(wire)


async def test_a_call_under_way_finishes_when_its_key_is_revoked(guarded: Gateway) -> None:
    guarded.write("guarded.yaml", GUARDED.replace("REST/number", "REST/hold"))
    await guarded.reload()
    identifier = await opened(guarded, "/keyed", bearer(KEYS["all"]))
    wire = await guarded.connect()
    raw = body("tools/call", {"name": "number"})
    await wire.send(guarded.encode("POST", "/keyed/mcp", in_session("all", identifier), raw))
    await guarded.rest.until(guarded.rest.held)
    guarded.write("guarded.yaml", GUARDED.replace(ALL, ""))
    await guarded.reload()
    guarded.rest.release.set()
    assert not (await wire.reply()).result["isError"]
    guarded.worker.world.expel()
    assert len(guarded.worker.world.sessions) == 0


async def test_an_expired_key_loses_its_streams_and_its_calls(guarded: Gateway) -> None:
    later = GUARDED.replace(f"{key_hash(KEYS['all'])}}}", f"{key_hash(KEYS['all'])}, expires: '2100-01-01'}}")
    guarded.write("guarded.yaml", later)
    await guarded.reload()
    ring: Any = guarded.worker.world.live.current.endpoints["/keyed"].guard
    params = {"name": "number"}
    headers = modern_headers("tools/call", params) | bearer(KEYS["all"])
    for _ in range(3):
        reply = await guarded.send("POST", "/keyed/mcp", headers, modern_body("tools/call", params))
        assert reply.status == 200
    wire, untouched = await listening(guarded, "all"), await listening(guarded, "other")
    ring._clock = lambda: 5e9
    assert await ended(wire)
    refused = await guarded.modern("tools/list", path="/keyed", headers=bearer(KEYS["all"]))
    assert (refused.status, refused.error["message"].split(".")[0]) == (401, "The API key has expired")
    assert len(guarded.worker.world.subscriptions) == 1
    untouched.abort()


async def test_an_endpoint_that_becomes_guarded_keeps_nobody(guarded: Gateway) -> None:
    identifier = await opened(guarded, "/keyed/deeper", {})
    stream = {"Mcp-Session-Id": identifier, "MCP-Protocol-Version": LEGACY, "Accept": "text/event-stream"}
    wire, _ = await guarded.stream("GET", "/keyed/deeper/mcp", stream)
    deeper = "  - prefix: /keyed/deeper\n    server: guarded\n"
    guarded.write("guarded.yaml", GUARDED.replace(deeper, deeper + "    auth: {mode: apiKey}\n"))
    await guarded.reload()
    assert await ended(wire)
    assert len(guarded.worker.world.sessions) == 0
    assert (await guarded.send("POST", "/keyed/deeper/mcp", {}, body("ping"))).status == 401


async def test_streams_of_one_principal_are_bounded_wherever_it_comes_from(guarded: Gateway) -> None:
    wires = [await listening(guarded, "all") for _ in range(3)]
    headers = modern_headers("subscriptions/listen") | bearer(KEYS["all"])
    raw = modern_body("subscriptions/listen", {"notifications": {}})
    refused = await guarded.send("POST", "/keyed/mcp", headers, raw)
    assert (refused.status, "3 streams of this client" in refused.text) == (429, True)
    wires.append(await listening(guarded, "other"))
    for wire in wires:
        wire.abort()


async def test_whatever_goes_wrong_in_a_judge_nobody_gets_in(guarded: Gateway) -> None:
    ring: Any = guarded.worker.world.live.current.endpoints["/keyed"].guard

    async def broken(credential: str) -> None:
        raise RuntimeError("a defect")

    ring.verify, ring.known = broken, lambda credential: None
    reply = await guarded.modern("tools/list", path="/keyed", headers=bearer(KEYS["all"]))
    assert (reply.status, reply.error["code"]) == (401, -32003)
    assert "a defect" not in reply.text
    assert "could not be judged" in guarded.log()


async def test_plain_calls_of_a_principal_take_the_short_way_as_that_principal(
    anyio_backend: str, tmp_path: Path
) -> None:
    async with running(tmp_path, {"guarded.yaml": GUARDED}, ingress="http1") as gateway:
        taken = []
        way: Any = gateway.worker.world.entry._shortcut
        short = way._rest
        admit = short._admit

        def counted(*given: Any) -> Any:
            taken.append(admit(*given))
            return taken[-1]

        short._admit = counted
        params = {"name": "number"}
        for who in ("all", "other"):
            headers = modern_headers("tools/call", params) | bearer(KEYS[who])
            for _ in range(3):
                await gateway.send("POST", "/keyed/mcp", headers, modern_body("tools/call", params))
        assert [call[0].principal.name for call in taken if call is not None] == ["all"] * 3 + ["other"] * 3
        assert [line["principal"] for line in gateway.lines()] == ["all"] * 3 + ["other"] * 3


async def test_a_credential_that_has_run_out_is_judged_anew_on_the_short_way_too(
    anyio_backend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane, "REJUDGED", 0.0)
    async with running(tmp_path, {"guarded.yaml": GUARDED}, ingress="http1") as gateway:
        params = {"name": "number"}
        headers = modern_headers("tools/call", params) | bearer(KEYS["all"])
        raw = modern_body("tools/call", params)
        for _ in range(3):
            assert (await gateway.send("POST", "/keyed/mcp", headers, raw)).status == 200
        ring: Any = gateway.worker.world.live.current.endpoints["/keyed"].guard
        ring._principals.clear()
        for _ in range(3):
            assert (await gateway.send("POST", "/keyed/mcp", headers, raw)).status == 401


async def test_a_request_that_is_handed_over_is_judged_again_by_its_owner(
    anyio_backend: str, ingress: str, tmp_path: Path
) -> None:
    documents, peers = tmp_path / "documents", tmp_path / "peers"
    documents.mkdir()
    peers.mkdir()
    texts = {"guarded.yaml": GUARDED}
    async with (
        running(documents, texts, ingress=ingress, peers=peers, key=b"k" * 32) as owner,
        running(documents, {}, ingress=ingress, peers=peers, key=b"k" * 32, rest=owner.rest) as other,
    ):
        identifier = await opened(owner, "/keyed", bearer(KEYS["all"]))
        raw = body("tools/call", {"name": "number"})
        assert (await other.send("POST", "/keyed/mcp", in_session("all", identifier), raw)).status == 200
        assert owner.lines()[-1]["principal"] == "all"
        assert (await other.send("POST", "/keyed/mcp", in_session("other", identifier), raw)).status == 404
        assert (await other.send("DELETE", "/keyed/mcp", in_session("other", identifier))).status == 404
        forged = in_session("all", identifier) | {"Authorization": None, "X-Portico-Client": "127.0.0.1"}
        assert (await other.send("POST", "/keyed/mcp", forged, raw)).status == 401
        # The owner does not take another worker's word for it.
        ring: Any = owner.worker.world.live.current.endpoints["/keyed"].guard
        ring._principals.clear()
        assert (await other.send("POST", "/keyed/mcp", in_session("all", identifier), raw)).status == 401


# Relayed --------------------------------------------------------------------------------------------------------------

OFFERED = ["echo", "number", "secret"]


async def offering(exchange: Exchange) -> bool:
    method = exchange.message.get("method")
    if method == "tools/list":
        tools = [{"name": name, "inputSchema": {"type": "object"}, "x": 12345678901234567890} for name in OFFERED]
        exchange.result({"tools": tools, "nextCursor": "more", "unknown": [1]})
    elif method == "notifications/cancelled":
        return False
    elif "id" in exchange.message and method not in ("initialize", "server/discover", "tools/call"):
        exchange.result({"said": method})
    else:
        return False
    return True


@pytest.fixture
async def relayed(anyio_backend: str, ingress: str, tmp_path: Path) -> AsyncIterator[tuple[Gateway, LegacyServer]]:
    async with legacy_server(offering) as server:
        text = f"""
name: relayed
mcpServers:
  far: {{url: "http://127.0.0.1:{server.port}/mcp", protocol: legacy, forward: {{headers: [authorization]}}}}
routers:
  - prefix: /far
    server: far
    auth:
      mode: apiKey
      keys:
        - {{name: all, hash: {key_hash(KEYS["all"])}}}
        - {{name: reader, hash: {key_hash(KEYS["reader"])}, tools: ["ec*", number, "!number"]}}
"""
        async with running(tmp_path, {"far.yaml": text}, ingress=ingress) as gateway:
            yield gateway, server


async def test_a_relayed_list_holds_what_the_caller_may_use_and_is_else_as_the_server_wrote_it(
    relayed: tuple[Gateway, LegacyServer],
) -> None:
    gateway, server = relayed
    identifiers = {who: await opened(gateway, "/far", bearer(KEYS[who])) for who in ("all", "reader")}
    found = {}
    for who, identifier in identifiers.items():
        reply = await gateway.send("POST", "/far/mcp", in_session(who, identifier), body("tools/list"))
        found[who] = reply.result
    assert [tool["name"] for tool in found["all"]["tools"]] == OFFERED
    assert found["reader"] == {**found["all"], "tools": [found["all"]["tools"][0]]}
    assert not any("authorization" in exchange.headers for exchange in server.seen)


async def test_a_relayed_call_of_a_tool_that_is_not_allowed_never_reaches_the_server(
    relayed: tuple[Gateway, LegacyServer],
) -> None:
    gateway, server = relayed
    identifier = await opened(gateway, "/far", bearer(KEYS["reader"]))

    async def ask(params: str, method: str = "tools/call") -> dict[str, Any]:
        raw = f'{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}'.encode()
        return (await gateway.send("POST", "/far/mcp", in_session("reader", identifier), raw)).json

    assert (await ask('{"name":"echo"}'))["result"]["content"][0]["text"] == "echo"
    before = len(server.seen)
    assert (await ask('{"name":"number"}'))["error"]["message"] == "Unknown tool: number."
    assert (await ask('{"name":"secret"}'))["error"]["message"] == "Unknown tool: secret."
    assert "error" in await ask('{"name":"echo","Name":"secret"}')
    assert "error" in await ask('{"name":"echo","NAME":"secret"}')
    assert "error" in await ask('{"name":7}')
    assert "error" in await ask('{"name":"secret","cursor":7}')
    assert "error" in await ask("{}")
    assert "error" in await ask('{"name":"welcome"}', "prompts/get")
    assert "error" in await ask('{"uri":"a:b"}', "resources/read")
    assert "error" in await ask('{"uri":"a:b"}', "resources/subscribe")
    assert "error" in await ask('{"taskId":"a"}', "tasks/result")
    assert (await ask("{}", "prompts/list"))["result"]["prompts"] == []
    assert (await ask("{}", "resources/list"))["result"]["resources"] == []
    assert (await ask("{}", "resources/templates/list"))["result"]["resourceTemplates"] == []
    assert len(server.seen) == before
    # Of a name that is there twice, the server is given the one that was judged, and no other.
    assert (await ask('{"name":"secret","name":"echo"}'))["result"]["content"][0]["text"] == "echo"
    assert "secret" not in json.dumps(server.seen[-1].message)


async def test_a_list_that_cannot_be_read_is_nobodys(relayed: tuple[Gateway, LegacyServer]) -> None:
    gateway, server = relayed

    async def strange(exchange: Exchange) -> bool:
        if exchange.message.get("method") != "tools/list":
            return await offering(exchange)
        exchange.result({"tools": [{"title": "secret"}, 7]})
        return True

    server.act = strange
    identifier = await opened(gateway, "/far", bearer(KEYS["reader"]))
    reply = await gateway.send("POST", "/far/mcp", in_session("reader", identifier), body("tools/list"))
    assert reply.error["code"] == -32603
    assert "secret" not in reply.text


def test_the_documents_of_these_tests_have_prompts_and_resources_to_hide() -> None:
    assert "prompts:" in TOOLS
    assert "resources:" in TOOLS
