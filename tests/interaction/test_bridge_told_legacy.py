"""What a server of 2026-07-28 tells a client of the handshake, and what of the client's giving up reaches the server;
in one worker, and with the client at one of two and its answers at the other.
"""

import json
from pathlib import Path

import pytest
from tests.fakes.gateway import LEGACY, Gateway, LegacyClient, body
from tests.fakes.telling import ADA, CHANGED, FORM, UPDATED, A, B, event, next_message, said, stateless, until

pytestmark = pytest.mark.anyio


async def greeted(first: Gateway, other: Gateway) -> tuple[LegacyClient, LegacyClient]:
    """One session, opened at the first worker; what the second client sends of it goes to the other."""
    params = {"protocolVersion": LEGACY, "capabilities": {"elicitation": {}}, "clientInfo": {"name": "t"}}
    opened = await first.send("POST", "/told/mcp", {}, body("initialize", params))
    client = LegacyClient(first, "/told", opened.headers["mcp-session-id"], opened)
    return client, LegacyClient(other, "/told", client.identifier, opened)


async def test_the_level_of_a_session_is_said_in_each_of_its_requests(tmp_path: Path, workers: int) -> None:
    async with stateless(tmp_path, workers) as (first, other, _):
        client, elsewhere = await greeted(first, other)
        assert client.opened.result["capabilities"]["logging"] == {}
        for level, from_where in (("info", client), ("debug", elsewhere), ("alert", client)):
            if level != "info":
                assert (await from_where.request("logging/setLevel", {"level": level})).result == {}
            reply = await elsewhere.request("tools/call", {"name": "log"})
            message, answer = [one.json for one in reply.events if one.data]
            assert message == event("notifications/message", level=level, data="x")
            assert said(answer) is None
        assert (await client.request("logging/setLevel", {"level": "loud"})).error["code"] == -32602
        second, _ = await greeted(first, other)
        reply = await second.request("tools/call", {"name": "log"})
        assert reply.events[1].json["params"]["level"] == "info", "a level is one session's alone"


async def test_progress_reaches_a_legacy_client_under_its_own_token(tmp_path: Path, workers: int) -> None:
    async with stateless(tmp_path, workers) as (first, other, _):
        _, client = await greeted(first, other)
        reply = await client.request("tools/call", {"name": "quick", "_meta": {"progressToken": "p"}})
        step, answer = [one.json for one in reply.events if one.data]
        assert step == event("notifications/progress", progressToken="p", progress=1)
        assert said(answer) is None


async def test_one_subscription_feeds_the_streams_of_all_sessions(tmp_path: Path, workers: int) -> None:
    async with stateless(tmp_path, workers) as (first, other, telling):
        (one, elsewhere), (two, _) = await greeted(first, other), await greeted(first, other)
        heard_by_one, heard_by_two = await elsewhere.get_stream(), await two.get_stream()
        await until(lambda: telling.wanted() == [[]])
        assert (await elsewhere.request("resources/subscribe", {"uri": A})).result == {}
        assert (await two.request("resources/subscribe", {"uri": B})).result == {}
        assert (await two.request("resources/subscribe", {"uri": B})).result == {}
        await until(lambda: telling.wanted() == [[A, B]])
        telling.tell(UPDATED, uri=A)
        telling.tell(UPDATED, uri=f"{B}/part")
        telling.tell(CHANGED)
        assert await next_message(heard_by_one) == event(UPDATED, uri=A)
        assert (await next_message(heard_by_one))["method"] == CHANGED
        assert await next_message(heard_by_two) == event(UPDATED, uri=f"{B}/part")
        assert (await next_message(heard_by_two))["method"] == CHANGED
        assert (await one.request("resources/unsubscribe", {"uri": A})).result == {}
        telling.tell(UPDATED, uri=A)
        telling.tell("notifications/prompts/list_changed")
        assert (await next_message(heard_by_one))["method"] == "notifications/prompts/list_changed"
        await one.delete()
        assert len(telling.open()) == 1
        await two.delete()
        await until(lambda: telling.open() == [])
        heard_by_one.abort()
        heard_by_two.abort()


async def test_a_subscription_that_the_server_ends_is_opened_again_and_everything_has_changed(tmp_path: Path) -> None:
    async with stateless(tmp_path) as (gateway, _, telling):
        client, _ = await greeted(gateway, gateway)
        heard = await client.get_stream()
        assert (await client.request("resources/subscribe", {"uri": A})).result == {}
        await until(lambda: telling.wanted() == [[A]])
        telling.open()[0].writer.transport.abort()
        found = {(await next_message(heard))["method"] for _ in range(3)}
        assert found == {f"notifications/{kind}/list_changed" for kind in ("tools", "prompts", "resources")}
        assert telling.wanted() == [[A]]
        heard.abort()


async def test_a_legacy_client_that_gives_up_its_call_ends_it_at_the_server(tmp_path: Path, workers: int) -> None:
    async with stateless(tmp_path, workers) as (first, other, telling):
        client, elsewhere = await greeted(first, other)
        wire = await client.post_stream("tools/call", {"name": "work", "_meta": {"progressToken": 1}})
        assert (await next_message(wire))["method"] == "notifications/progress"
        assert (await elsewhere.notify("notifications/cancelled", {"requestId": 7})).status == 202
        await until(lambda: telling.calls()[0] in telling.server.left)
        wire.abort()


@pytest.mark.parametrize("ending", ["cancelled", "session"])
async def test_a_legacy_client_that_gives_up_while_it_is_asked_is_not_waited_for(
    tmp_path: Path, workers: int, ending: str
) -> None:
    async with stateless(tmp_path, workers) as (first, other, telling):
        client, elsewhere = await greeted(first, other)
        wire = await client.post_stream("tools/call", {"name": "ask"})
        given_up, question = wire, await next_message(wire)
        assert question["params"] == FORM
        answer = json.dumps({"jsonrpc": "2.0", "id": question["id"], "result": ADA}).encode()
        if ending == "cancelled":
            assert (await elsewhere.notify("notifications/cancelled", {"requestId": 7})).status == 202
        else:
            assert (await elsewhere.delete()).status == 204
        late = await other.send("POST", "/told/mcp", client.headers(), answer)
        assert late.status == (202 if ending == "cancelled" else 404)
        again, _ = await greeted(first, other)
        wire = await again.post_stream("tools/call", {"name": "ask"})
        question = await next_message(wire)
        answer = json.dumps({"jsonrpc": "2.0", "id": question["id"], "result": ADA}).encode()
        assert (await first.send("POST", "/told/mcp", again.headers(), answer)).status == 202
        assert said(await next_message(wire)) == {"who": ADA}
        assert len(telling.calls()) == 3, "the call that was given up was not sent again"
        given_up.abort()
        wire.abort()


async def test_a_legacy_client_whose_stream_broke_is_answered_when_it_resumes(tmp_path: Path, workers: int) -> None:
    async with stateless(tmp_path, workers) as (first, other, _):
        client, elsewhere = await greeted(first, other)
        wire = await client.post_stream("tools/call", {"name": "ask"})
        primed, question = await wire.event(), await next_message(wire)
        assert primed is not None
        wire.abort()
        answer = json.dumps({"jsonrpc": "2.0", "id": question["id"], "result": ADA}).encode()
        assert (await other.send("POST", "/told/mcp", client.headers(), answer)).status == 202
        resumed = await elsewhere.get_stream(primed.identifier)
        assert (await next_message(resumed))["id"] == question["id"]
        assert said(await next_message(resumed)) == {"who": ADA}
        resumed.abort()
