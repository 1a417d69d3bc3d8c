"""Attacks on calls that wait for their clients' input, and what is left behind of them."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.asking import FORM, Asking
from tests.fakes.garbage import garbage_kept
from tests.fakes.gateway import LEGACY, Gateway, body, running
from tests.fakes.http_wire import Reply
from tests.fakes.mcp_http import Exchange, LegacyServer, legacy_server

from portico.config.key import key_hash, new_key
from portico.gateway.protocol.bridge.parked import MOST_ROUNDS
from portico.settings import Settings

pytestmark = pytest.mark.anyio

KEYS = {name: new_key() for name in ("ada", "bob", "narrow")}
DOCUMENT = f"""
version: 1
name: bridged
routers:
  - {{prefix: /open, server: asking}}
  - {{prefix: /other, server: asking}}
  - prefix: /keyed
    server: asking
    auth:
      mode: apiKey
      keys:
        - {{name: ada, hash: {key_hash(KEYS["ada"])}}}
        - {{name: bob, hash: {key_hash(KEYS["bob"])}}}
        - {{name: narrow, hash: {key_hash(KEYS["narrow"])}, tools: [ask]}}
mcpServers:
  asking: {{url: "http://127.0.0.1:PORT/mcp", protocol: ERA, timeout: 30s}}
"""
META = {"io.modelcontextprotocol/clientCapabilities": {"elicitation": {}}, "progressToken": "p"}
CALL = {"name": "ask", "arguments": {"x": 1}}
CALLER = Settings().limit_parked_caller
ADA = {"action": "accept", "content": {"name": "Ada"}}


@contextlib.asynccontextmanager
async def asking(folder: Path, **settings: Any) -> AsyncIterator[tuple[Gateway, LegacyServer]]:
    tool = Asking()
    async with legacy_server(tool.act) as server:
        document = DOCUMENT.replace("PORT", str(server.port)).replace("ERA", "legacy")
        async with running(folder, {"bridged.yaml": document}, **settings) as gateway:
            yield gateway, server


async def ask(gateway: Gateway, path: str = "/open", key: str = "", method: str = "tools/call", **params: Any) -> Reply:
    headers: dict[str, str | None] = {"Authorization": f"Bearer {KEYS[key]}"} if key else {}
    return await gateway.modern(method, {**CALL, **params}, path=path, headers=headers, meta=META)


async def begun(gateway: Gateway, path: str = "/open", key: str = "", **params: Any) -> dict[str, Any]:
    """What the client has to send with its retry."""
    result = (await ask(gateway, path, key, **params)).result
    assert result["resultType"] == "input_required", result
    ((name, question),) = result["inputRequests"].items()
    assert question == {"method": "elicitation/create", "params": FORM}
    return {"requestState": result["requestState"], "inputResponses": {name: ADA}}


def waiting(gateway: Gateway) -> int:
    return len(gateway.worker.world.bridge.parking)


async def until(look: Any) -> None:
    async with asyncio.timeout(5):
        while not look():  # noqa: ASYNC110 - what is waited for tells nobody.
            await asyncio.sleep(0.01)


async def test_an_answer_reaches_the_call_that_waits_for_it_and_only_once(tmp_path: Path) -> None:
    async with asking(tmp_path) as (gateway, server):
        retry = await begun(gateway)
        assert waiting(gateway) == 1
        answered = await ask(gateway, **retry)
        assert json.loads(answered.result["content"][0]["text"]) == ADA
        assert waiting(gateway) == 0
        replayed = await ask(gateway, **retry)
        assert replayed.error["code"] == -32602
        assert "is over, or was gone on with already" in replayed.error["message"]
        assert server.methods().count("tools/call") == 1


@pytest.mark.parametrize(
    ("path", "change"),
    [
        ("/open", {"name": "forever"}),
        ("/open", {"arguments": {"x": 2}}),
        ("/open", {"method": "prompts/get"}),
        ("/other", {}),
    ],
)
async def test_a_state_is_good_for_the_request_that_was_given_it_alone(
    tmp_path: Path, path: str, change: dict[str, Any]
) -> None:
    async with asking(tmp_path) as (gateway, server):
        retry = await begun(gateway)
        asked = len(server.seen)
        refused = await ask(gateway, path, **retry, **change)
        assert refused.error["code"] == -32602
        assert "send the request again without requestState" in refused.error["message"]
        assert [one.message for one in server.seen[asked:] if "method" not in one.message] == []
        assert (await ask(gateway, **retry)).result["content"], "the true client is not hindered"


async def test_an_altered_state_is_refused(tmp_path: Path) -> None:
    async with asking(tmp_path) as (gateway, _):
        retry = await begun(gateway)
        state = retry["requestState"]
        other = "A" if state[20] != "A" else "B"
        for altered in (state[:20] + other + state[21:], state[:-1], "", "x" * 20_000, 7, None, {"a": 1}):
            refused = await ask(gateway, **{**retry, "requestState": altered})
            assert refused.error["code"] == -32602, altered
        assert (await ask(gateway, **retry)).result["content"]


async def test_another_principal_cannot_answer(tmp_path: Path) -> None:
    async with asking(tmp_path) as (gateway, _):
        retry = await begun(gateway, "/keyed", "ada")
        assert (await ask(gateway, "/keyed", "bob", **retry)).error["code"] == -32602
        assert (await ask(gateway, "/keyed", "ada", **retry)).result["content"]


async def test_a_limited_key_is_limited_across_the_eras(tmp_path: Path) -> None:
    async with asking(tmp_path) as (gateway, server):
        headers: dict[str, str | None] = {"Authorization": f"Bearer {KEYS['narrow']}"}
        listed = await gateway.modern("tools/list", path="/keyed", headers=headers)
        assert [tool["name"] for tool in listed.result["tools"]] == ["ask"]
        assert (await ask(gateway, "/keyed", "narrow", name="secret")).error["code"] == -32602
        retry = await begun(gateway, "/keyed", "narrow")
        assert (await ask(gateway, "/keyed", "narrow", **{**retry, "name": "secret"})).error["code"] == -32602
        assert [one.tool for one in server.seen if one.message.get("method") == "tools/call"] == ["ask"]


async def test_a_call_whose_client_never_answers_is_given_up(tmp_path: Path) -> None:
    async with asking(tmp_path, limit_parked_time=0.2) as (gateway, server):
        retry = await begun(gateway)
        await until(lambda: waiting(gateway) == 0)
        await until(lambda: "notifications/cancelled" in server.methods())
        assert "has expired" in (await ask(gateway, **retry)).error["message"]


async def test_a_call_that_waited_leaves_nothing_to_the_garbage_collector(tmp_path: Path) -> None:
    async with asking(tmp_path, limit_parked_time=0.5) as (gateway, server):
        await ask(gateway, **await begun(gateway))
        with garbage_kept() as found:
            await ask(gateway, **await begun(gateway))
            await begun(gateway)
            await until(lambda: waiting(gateway) == 0 and "notifications/cancelled" in server.methods())
        assert {type(one).__name__ for one in found} & {"Parked", "Heard", "Asked", "Task", "AnswerStream"} == set()


async def test_calls_that_wait_are_bounded_for_each_caller(tmp_path: Path) -> None:
    async with asking(tmp_path) as (gateway, server):
        first = await begun(gateway, "/keyed", "ada")
        others = await begun(gateway, "/keyed", "bob")
        for _ in range(10):
            await asyncio.gather(*(begun(gateway, "/keyed", "ada") for _ in range(10)))
        assert waiting(gateway) == CALLER + 1
        assert "is over" in (await ask(gateway, "/keyed", "ada", **first)).error["message"]
        assert (await ask(gateway, "/keyed", "bob", **others)).result["content"], "others keep theirs"
        await until(lambda: server.methods().count("notifications/cancelled") == 101 - CALLER)


@pytest.mark.parametrize(
    ("limit", "told"), [("limit_parked", "2 calls wait for"), ("limit_parked_server", "2 calls at asking wait for")]
)
async def test_calls_that_wait_are_bounded_in_all_and_at_each_server(tmp_path: Path, limit: str, told: str) -> None:
    async with asking(tmp_path, **{limit: 2}) as (gateway, server):
        first = await begun(gateway)
        await begun(gateway)
        refused = await ask(gateway)
        assert refused.status == 503
        assert refused.headers["retry-after"] == "5"
        assert told in refused.error["message"]
        await until(lambda: "notifications/cancelled" in server.methods())
        assert (await ask(gateway, **first)).result["content"]
        assert (await ask(gateway)).result["resultType"] == "input_required"


async def test_calls_that_wait_leave_connections_to_others(tmp_path: Path) -> None:
    async with asking(tmp_path, limit_parked_server=2, limit_upstream_connections=4) as (gateway, _):
        retries = [await begun(gateway) for _ in range(2)]
        assert (await gateway.modern("tools/list", path="/open", meta=META)).result["tools"]
        assert (await ask(gateway)).status == 503
        for retry in retries:
            assert (await ask(gateway, **retry)).result["content"]


async def test_a_server_that_asks_for_ever_is_asked_no_more(tmp_path: Path) -> None:
    async with asking(tmp_path) as (gateway, server):
        retry, rounds = await begun(gateway, name="forever"), 1
        while "error" not in (answer := await ask(gateway, **{**retry, "name": "forever"})).json:
            (name,) = answer.result["inputRequests"]
            retry = {"requestState": answer.result["requestState"], "inputResponses": {name: ADA}}
            rounds += 1
        assert rounds == MOST_ROUNDS
        assert "the server asked more, so the call was given up" in answer.error["message"]
        assert waiting(gateway) == 0
        await until(lambda: "notifications/cancelled" in server.methods())


async def test_a_server_that_asks_too_much_at_once_is_asked_no_more(tmp_path: Path) -> None:
    async with asking(tmp_path) as (gateway, _):
        answer = await ask(gateway, name="flood")
        assert "the server asked more, so the call was given up" in answer.error["message"]


async def test_an_answer_at_another_worker_reaches_the_call(tmp_path: Path) -> None:
    documents, peers, tool = tmp_path / "documents", tmp_path / "peers", Asking()
    documents.mkdir()
    peers.mkdir()
    shared: dict[str, Any] = {"peers": peers, "key": b"k" * 32, "workers": 2}
    async with legacy_server(tool.act) as server:
        text = {"bridged.yaml": DOCUMENT.replace("PORT", str(server.port)).replace("ERA", "legacy")}
        async with running(documents, text, **shared) as owner:
            async with running(documents, {}, rest=owner.rest, **shared) as other:
                retry = await begun(owner, "/keyed", "ada")
                assert (await ask(other, "/keyed", "bob", **retry)).error["code"] == -32602
                answered = await ask(other, "/keyed", "ada", **retry)
                assert json.loads(answered.result["content"][0]["text"]) == ADA
                assert (waiting(owner), waiting(other)) == (0, 0)
                left = await begun(other)
            # Its worker is no more.
            assert "is over" in (await ask(owner, **left)).error["message"]
            assert server.methods().count("tools/call") == 2


async def test_what_a_client_left_out_is_asked_again(tmp_path: Path) -> None:
    async with asking(tmp_path) as (gateway, server):
        retry = await begun(gateway)
        partial = await ask(gateway, requestState=retry["requestState"], inputResponses={"unknown": ADA})
        assert partial.result["resultType"] == "input_required"
        (name,) = partial.result["inputRequests"]
        again = {"requestState": partial.result["requestState"], "inputResponses": {name: ADA}}
        assert json.loads((await ask(gateway, **again)).result["content"][0]["text"]) == ADA
        assert server.methods().count("tools/call") == 1


async def test_a_client_that_leaves_while_its_call_works_cancels_it_at_the_server(tmp_path: Path) -> None:
    async with asking(tmp_path) as (gateway, server):
        wire = await gateway.modern_stream("tools/call", {"name": "slow"}, path="/open", meta=META)
        await wire.event()
        wire.abort()
        await until(lambda: "notifications/cancelled" in server.methods())
        assert waiting(gateway) == 0


async def test_a_call_that_waits_ends_with_the_gateway(tmp_path: Path) -> None:
    async with asking(tmp_path) as (gateway, server):
        await begun(gateway)
        await gateway.worker.world.reloader.reload()
        assert waiting(gateway) == 1, "a reload that changes nothing loses no call"
    assert "notifications/cancelled" in server.methods() or "DELETE" in server.methods()


async def test_a_client_that_declares_nothing_is_not_asked(tmp_path: Path) -> None:
    async with asking(tmp_path) as (gateway, _):
        answer = await gateway.modern("tools/call", CALL, path="/open")
        assert json.loads(answer.result["content"][0]["text"])["code"] == -32601


# A legacy client of a modern server -----------------------------------------------------------------------------------


class Insisting:
    """A modern server that never has enough."""

    def __init__(self) -> None:
        self.calls = 0

    async def act(self, exchange: Exchange) -> bool:
        message = exchange.message
        if message.get("method") == "server/discover":
            capabilities = {"tools": {}}
            known = {"supportedVersions": ["2026-07-28"], "capabilities": capabilities, "resultType": "complete"}
            exchange.result({**known, "ttlMs": 0, "cacheScope": "private"})
        elif message.get("method") == "tools/call":
            self.calls += 1
            asked = {"again": {"method": "elicitation/create", "params": FORM}} if exchange.tool == "ask" else {}
            exchange.result({"resultType": "input_required", "inputRequests": asked, "requestState": f"s{self.calls}"})
        else:
            return False
        return True


async def test_a_modern_server_that_asks_for_ever_is_asked_no_more(tmp_path: Path) -> None:
    insisting = Insisting()
    async with legacy_server(insisting.act) as server:
        document = DOCUMENT.replace("PORT", str(server.port)).replace("ERA", "modern")
        async with running(tmp_path, {"bridged.yaml": document}) as gateway:
            params = {"protocolVersion": LEGACY, "capabilities": {"elicitation": {}}, "clientInfo": {"name": "t"}}
            opened = await gateway.send("POST", "/open/mcp", {}, body("initialize", params))
            session: dict[str, str | None] = {"Mcp-Session-Id": opened.headers["mcp-session-id"]}
            wire, _ = await gateway.stream("POST", "/open/mcp", session, body("tools/call", CALL, 9))
            questions = 0
            async with asyncio.timeout(20):
                while True:
                    event = await wire.event()
                    assert event is not None
                    if not event.data:
                        continue
                    if "method" not in event.json:
                        break
                    questions += 1
                    answer = {"jsonrpc": "2.0", "id": event.json["id"], "result": ADA}
                    told = await gateway.send("POST", "/open/mcp", session, json.dumps(answer).encode())
                    assert told.status == 202
            wire.abort()
            assert "is asked no more" in event.json["error"]["message"]
            assert questions == insisting.calls - 1 == MOST_ROUNDS
