"""What a server of one era tells a client of the other, and what of a client's giving up reaches the server; in one
worker, and with the client at one of two and its answers at the other.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.gateway import LEGACY, Gateway, LegacyClient, body, modern_body, modern_headers, running
from tests.fakes.http_wire import Reply, Wire
from tests.fakes.mcp_http import Exchange, LegacyServer, legacy_server

from portico.gateway.session.session import LEVELS

pytestmark = pytest.mark.anyio

DOCUMENT = """
version: 1
name: telling
routers: [{prefix: /told, server: telling}]
mcpServers:
  telling: {url: "http://127.0.0.1:PORT/mcp", protocol: ERA, timeout: 30s}
"""
NAMESPACE = "io.modelcontextprotocol/"
ABLE = {f"{NAMESPACE}clientCapabilities": {"elicitation": {}, "roots": {"listChanged": True}}}
FORM = {"message": "Who?", "requestedSchema": {"type": "object", "properties": {"name": {"type": "string"}}}}
ADA = {"action": "accept", "content": {"name": "Ada"}}
CAPABILITIES = {
    "tools": {"listChanged": True},
    "prompts": {"listChanged": True},
    "resources": {"subscribe": True, "listChanged": True},
    "logging": {},
}
CHANGED = "notifications/tools/list_changed"
UPDATED = "notifications/resources/updated"
A, B = "docs://a", "docs://b"


def event(method: str, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "method": method, "params": params}


def said(message: dict[str, Any]) -> Any:
    return json.loads(message["result"]["content"][0]["text"])


def text(value: Any) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": json.dumps(value)}]}


async def until(look: Any) -> None:
    async with asyncio.timeout(5):
        while not look():  # noqa: ASYNC110 - what is waited for tells nobody.
            await asyncio.sleep(0.005)


async def next_message(wire: Wire) -> dict[str, Any]:
    """The next event that is not there for its id alone."""
    while True:
        found = await wire.event()
        assert found is not None, "the stream ended"
        if found.data:
            return found.json


@pytest.fixture(params=[1, 2], ids=["one-worker", "two-workers"])
def workers(request: pytest.FixtureRequest) -> int:
    return request.param


@contextlib.asynccontextmanager
async def gateways(folder: Path, port: int, era: str, workers: int) -> AsyncIterator[tuple[Gateway, Gateway]]:
    """Where a client begins, and where it comes back: the same worker, or another one."""
    documents, peers = folder / "documents", folder / "peers"
    documents.mkdir()
    peers.mkdir()
    written = {"telling.yaml": DOCUMENT.replace("PORT", str(port)).replace("ERA", era)}
    shared: dict[str, Any] = {"peers": peers, "key": b"k" * 32, "workers": workers}
    async with running(documents, written, **shared) as first:
        if workers == 1:
            yield first, first
            return
        async with running(documents, {}, rest=first.rest, **shared) as other:
            yield first, other


# A client of 2026-07-28 and a server of the handshake -----------------------------------------------------------------


class Handshaking:
    """`log` logs at every level; `ask` tells of its progress, asks, tells again and answers with what it heard; `work`
    never ends. `silent` methods are `held` and not answered."""

    def __init__(self) -> None:
        self.waiting: dict[Any, Exchange] = {}
        self.silent: set[str] = set()
        self.held: list[Exchange] = []
        self.refused: set[str] = set()
        self.server: LegacyServer

    async def act(self, exchange: Exchange) -> bool:
        message = exchange.message
        method = message.get("method")
        if method == "initialize":
            self.server.made += 1
            session = f"session-{self.server.made}"
            self.server.sessions.add(session)
            greeting = {"protocolVersion": LEGACY, "capabilities": CAPABILITIES, "serverInfo": {"name": "t"}}
            exchange.result(greeting, Mcp_Session_Id=session)
        elif method in self.silent:
            self.held.append(exchange)
        elif method == "resources/subscribe" and message["params"]["uri"] in self.refused:
            error = {"code": -32602, "message": "no"}
            exchange.reply(200, {"jsonrpc": "2.0", "id": message["id"], "error": error})
        elif method == "tools/call":
            exchange.begin_events()
            getattr(self, exchange.tool)(exchange)
        elif method is None and message.get("id") in self.waiting:
            exchange.reply(202)
            call = self.waiting.pop(message["id"])
            self.step(call, 2)
            if call.message["params"]["arguments"].get("stay"):
                return True
            self.end(call, message.get("result", message.get("error")))
        else:
            return False
        return True

    def log(self, call: Exchange) -> None:
        for level in LEVELS:
            call.event(event("notifications/message", level=level, data=level))
        self.end(call, "logged")

    def ask(self, call: Exchange) -> None:
        self.step(call, 1)
        identifier = f"q{len(self.server.seen)}"
        self.waiting[identifier] = call
        call.event({"jsonrpc": "2.0", "id": identifier, "method": "elicitation/create", "params": FORM})

    def work(self, call: Exchange) -> None:
        self.step(call, 1)

    def step(self, call: Exchange, progress: int) -> None:
        token = call.message["params"].get("_meta", {}).get("progressToken")
        if token is not None:
            call.event(event("notifications/progress", progressToken=token, progress=progress))

    def end(self, call: Exchange, answer: Any) -> None:
        call.event({"jsonrpc": "2.0", "id": call.message["id"], "result": text(answer)})
        call.end_events()

    def tell(self, method: str, **params: Any) -> None:
        """On the stream of every session."""
        for stream in self.server.streams:
            stream.event(event(method, **params))

    def asked(self, method: str, key: str) -> list[Any]:
        return [one.message["params"][key] for one in self.server.seen if one.message.get("method") == method]


@contextlib.asynccontextmanager
async def handshaking(folder: Path, workers: int = 1) -> AsyncIterator[tuple[Gateway, Gateway, Handshaking]]:
    telling = Handshaking()
    async with (
        legacy_server(telling.act) as telling.server,
        gateways(folder, telling.server.port, "legacy", workers) as (first, other),
    ):
        yield first, other, telling


async def call(gateway: Gateway, tool: str, meta: dict[str, Any] | None = None, **more: Any) -> Reply:
    params = {"name": tool, "arguments": {}, **more}
    return await gateway.modern("tools/call", params, path="/told", meta={**ABLE, **(meta or {})})


async def levels(gateway: Gateway, level: str | None) -> list[str]:
    """Those of the log messages that a call brings."""
    reply = await call(gateway, "log", {} if level is None else {f"{NAMESPACE}logLevel": level})
    if reply.headers["content-type"] == "application/json":
        assert said(reply.json) == "logged"
        return []
    *told, last = [one.json for one in reply.events]
    assert said(last) == "logged"
    return [one["params"]["level"] for one in told]


async def test_each_modern_client_hears_from_the_level_on_that_it_asked_for(tmp_path: Path, workers: int) -> None:
    async with handshaking(tmp_path, workers) as (first, other, telling):
        assert await levels(first, None) == []
        assert telling.asked("logging/setLevel", "level") == []
        assert await levels(first, "error") == list(LEVELS[LEVELS.index("error") :])
        assert await levels(first, "debug") == list(LEVELS)
        assert await levels(first, "error") == list(LEVELS[LEVELS.index("error") :])
        assert (await call(first, "log", {f"{NAMESPACE}logLevel": "loud"})).error["code"] == -32602
        assert telling.asked("logging/setLevel", "level") == ["error", "debug"]
        assert await levels(other, "alert") == ["alert", "emergency"]


async def test_a_client_that_leaves_while_the_level_is_told_takes_it_from_nobody(tmp_path: Path) -> None:
    async with handshaking(tmp_path) as (gateway, _, telling):
        telling.silent = {"logging/setLevel"}
        meta = {**ABLE, f"{NAMESPACE}logLevel": "info"}
        wire = await sent(gateway, "tools/call", {"name": "log", "arguments": {}}, meta)
        await until(lambda: telling.asked("logging/setLevel", "level"))
        wire.abort()
        others = [asyncio.ensure_future(levels(gateway, "info")) for _ in range(3)]
        await until(lambda: outcomes(gateway) == ["cancelled"])
        telling.silent = set()
        telling.held.pop().result({})
        assert await asyncio.gather(*others) == [list(LEVELS[LEVELS.index("info") :])] * 3
        assert telling.asked("logging/setLevel", "level") == ["info"]


async def test_progress_is_told_under_the_token_of_the_request_that_is_open(tmp_path: Path, workers: int) -> None:
    async with handshaking(tmp_path, workers) as (first, other, _):
        reply = await call(first, "ask", {"progressToken": "before"})
        step, asked = (one.json for one in reply.events)
        assert step["params"] == {"progressToken": "before", "progress": 1}
        retry = {"requestState": asked["result"]["requestState"], "inputResponses": {"input-1": ADA}}
        step, answered = (one.json for one in (await call(other, "ask", {"progressToken": 7}, **retry)).events)
        assert step["params"] == {"progressToken": 7, "progress": 2}
        assert said(answered) == ADA


async def sent(gateway: Gateway, method: str, params: dict[str, Any], meta: dict[str, Any]) -> Wire:
    """A request whose answer nobody waits for."""
    wire = await gateway.connect()
    raw = modern_body(method, params, meta)
    await wire.send(gateway.encode("POST", "/told/mcp", modern_headers(method, params), raw))
    return wire


def outcomes(gateway: Gateway) -> list[str]:
    return [line["outcome"] for line in gateway.lines()]


async def listen(gateway: Gateway, *uris: str, **kinds: bool) -> tuple[Wire, dict[str, Any]]:
    """An open subscription, and what it was granted."""
    wanted = {**kinds, "resourceSubscriptions": list(uris)}
    params = {"notifications": wanted}
    wire = await gateway.modern_stream("subscriptions/listen", params, path="/told", meta=ABLE, identifier="mine")
    first = await next_message(wire)
    assert first["method"] == "notifications/subscriptions/acknowledged"
    assert first["params"]["_meta"][f"{NAMESPACE}subscriptionId"] == "mine"
    return wire, first["params"]["notifications"]


async def test_a_subscription_hears_what_the_server_tells_its_session(tmp_path: Path, workers: int) -> None:
    async with handshaking(tmp_path, workers) as (first, other, telling):
        one, granted = await listen(first, A, toolsListChanged=True)
        assert granted["toolsListChanged"]
        assert granted["resourceSubscriptions"] == [A]
        two, _ = await listen(other, B, promptsListChanged=True)
        await until(lambda: len(telling.server.streams) == workers)
        mine = {"_meta": {f"{NAMESPACE}subscriptionId": "mine"}}
        telling.tell("notifications/prompts/list_changed")
        telling.tell(UPDATED, uri=B)
        telling.tell(CHANGED)
        telling.tell(UPDATED, uri=f"{A}/part")
        telling.tell(UPDATED, uri=A, _meta={"x": 1})
        assert await next_message(one) == event(CHANGED, **mine)
        assert await next_message(one) == event(UPDATED, uri=f"{A}/part", **mine)
        assert await next_message(one) == event(UPDATED, uri=A, _meta={"x": 1, **mine["_meta"]})
        assert await next_message(two) == event("notifications/prompts/list_changed", **mine)
        assert await next_message(two) == event(UPDATED, uri=B, **mine)
        assert sorted(telling.asked("resources/subscribe", "uri")) == [A, B]
        one.abort()
        await until(lambda: telling.asked("resources/unsubscribe", "uri") == [A])
        two.abort()
        await until(lambda: telling.asked("resources/unsubscribe", "uri") == [A, B])


async def test_a_resource_is_subscribed_to_once_for_all_and_left_with_the_last(tmp_path: Path) -> None:
    async with handshaking(tmp_path) as (gateway, _, telling):
        wires = [wire for wire, _ in await asyncio.gather(*(listen(gateway, A) for _ in range(5)))]
        assert telling.asked("resources/subscribe", "uri") == [A]
        for wire in wires[1:]:
            wire.abort()
        await until(lambda: telling.server.streams)
        telling.tell(UPDATED, uri=A)
        assert (await next_message(wires[0]))["method"] == UPDATED
        assert telling.asked("resources/unsubscribe", "uri") == []
        wires[0].abort()
        await until(lambda: telling.asked("resources/unsubscribe", "uri") == [A])
        wire, granted = await listen(gateway, A)
        assert granted["resourceSubscriptions"] == [A]
        assert telling.asked("resources/subscribe", "uri") == [A, A]
        wire.abort()


async def test_a_resource_that_the_server_refuses_is_granted_to_nobody(tmp_path: Path) -> None:
    async with handshaking(tmp_path) as (gateway, _, telling):
        telling.refused = {B}
        found = await asyncio.gather(*(listen(gateway, A, B) for _ in range(3)))
        assert [granted["resourceSubscriptions"] for _, granted in found] == [[A]] * 3
        for wire, _ in found:
            wire.abort()


async def test_who_leaves_before_it_is_subscribed_leaves_nothing_behind(tmp_path: Path) -> None:
    async with handshaking(tmp_path) as (gateway, _, telling):
        telling.silent = {"resources/subscribe"}
        wire = await sent(gateway, "subscriptions/listen", {"notifications": {"resourceSubscriptions": [A]}}, ABLE)
        await until(lambda: telling.asked("resources/subscribe", "uri"))
        wire.abort()
        await until(lambda: outcomes(gateway) == ["cancelled"])
        telling.silent = set()
        telling.held.pop().result({})
        await until(lambda: telling.asked("resources/unsubscribe", "uri") == [A])
        wire, granted = await listen(gateway, A)
        assert granted["resourceSubscriptions"] == [A]
        assert telling.asked("resources/subscribe", "uri") == [A, A]
        wire.abort()


async def test_a_server_that_forgot_its_session_is_told_again(tmp_path: Path) -> None:
    async with handshaking(tmp_path) as (gateway, _, telling):
        wire, _ = await listen(gateway, A, toolsListChanged=True)
        assert await levels(gateway, "warning") == list(LEVELS[LEVELS.index("warning") :])
        telling.server.sessions.clear()
        await gateway.modern("tools/list", path="/told", meta=ABLE)
        found = [await next_message(wire), await next_message(wire)]
        assert sorted(one["method"] for one in found) == [UPDATED, CHANGED]
        await until(lambda: telling.asked("resources/subscribe", "uri") == [A, A])
        await until(lambda: telling.asked("logging/setLevel", "level") == ["warning", "warning"])
        wire.abort()


async def test_a_modern_client_that_leaves_after_its_answer_cancels_the_call(tmp_path: Path, workers: int) -> None:
    async with handshaking(tmp_path, workers) as (first, other, telling):
        asked = await call(first, "ask", {"progressToken": 1}, arguments={"stay": True})
        state = asked.events[-1].json["result"]["requestState"]
        params = {"name": "ask", "arguments": {"stay": True}, "requestState": state, "inputResponses": {"input-1": ADA}}
        wire = await other.modern_stream("tools/call", params, path="/told", meta={**ABLE, "progressToken": 2})
        assert (await next_message(wire))["params"] == {"progressToken": 2, "progress": 2}
        assert "notifications/cancelled" not in telling.server.methods()
        wire.abort()
        await until(lambda: "notifications/cancelled" in telling.server.methods())
        assert len(first.worker.world.bridge.parking) == 0


async def test_a_question_that_the_server_takes_back_is_not_asked_again(tmp_path: Path, workers: int) -> None:
    async with handshaking(tmp_path, workers) as (first, other, telling):
        state = (await call(first, "ask")).result["requestState"]
        ((identifier, upstream),) = telling.waiting.items()
        upstream.event(event("notifications/cancelled", requestId=identifier))
        telling.end(upstream, "went on without")
        answered = await call(other, "ask", requestState=state, inputResponses={"input-1": ADA})
        assert said(answered.json) == "went on without"
        assert [one for one in telling.server.seen if one.message.get("id") == identifier] == []


async def test_a_server_that_breaks_off_while_its_question_waits_fails_the_call(tmp_path: Path, workers: int) -> None:
    async with handshaking(tmp_path, workers) as (first, other, telling):
        state = (await call(first, "ask")).result["requestState"]
        ((_, upstream),) = telling.waiting.items()
        upstream.writer.transport.abort()
        telling.silent = {"tools/call"}
        answered = await call(other, "ask", requestState=state, inputResponses={"input-1": ADA})
        assert answered.error["code"] == -32603
        assert answered.error["message"].startswith("telling ")
        assert len(first.worker.world.bridge.parking) == 0


# A client of the handshake and a server of 2026-07-28 -----------------------------------------------------------------


class Stateless:
    """`log` logs one message at the level that it is asked for; `ask` wants to know who it is; `work` tells of its
    progress and never ends. Subscriptions stay open."""

    def __init__(self) -> None:
        self.subscriptions: list[Exchange] = []
        self.server: LegacyServer

    async def act(self, exchange: Exchange) -> bool:
        message = exchange.message
        method = message.get("method")
        if method == "server/discover":
            known = {"supportedVersions": ["2026-07-28"], "capabilities": CAPABILITIES, "resultType": "complete"}
            exchange.result({**known, "ttlMs": 0, "cacheScope": "private"})
        elif method == "subscriptions/listen":
            exchange.begin_events()
            wanted = message["params"]["notifications"]
            self.subscriptions.append(exchange)
            self._say(exchange, "notifications/subscriptions/acknowledged", notifications=wanted)
        elif method == "tools/call":
            self._call(exchange)
        else:
            return False
        return True

    def _call(self, exchange: Exchange) -> None:
        params = exchange.message["params"]
        meta, responses = params["_meta"], params.get("inputResponses")
        if exchange.tool == "ask" and responses is None:
            question = {"method": "elicitation/create", "params": FORM}
            exchange.result({"resultType": "input_required", "inputRequests": {"who": question}, "requestState": "s"})
            return
        exchange.begin_events()
        if exchange.tool == "log":
            exchange.event(event("notifications/message", level=meta[f"{NAMESPACE}logLevel"], data="x"))
        if "progressToken" in meta:
            exchange.event(event("notifications/progress", progressToken=meta["progressToken"], progress=1))
        if exchange.tool != "work":
            result = {"resultType": "complete", **text(responses)}
            exchange.event({"jsonrpc": "2.0", "id": exchange.message["id"], "result": result})
            exchange.end_events()

    def _say(self, subscription: Exchange, method: str, **params: Any) -> None:
        meta = {f"{NAMESPACE}subscriptionId": subscription.message["id"]}
        subscription.event(event(method, **params, _meta=meta))

    def open(self) -> list[Exchange]:
        return [one for one in self.subscriptions if one not in self.server.left]

    def tell(self, method: str, **params: Any) -> None:
        for one in self.open():
            self._say(one, method, **params)

    def calls(self) -> list[Exchange]:
        return [one for one in self.server.seen if one.message.get("method") == "tools/call"]

    def wanted(self) -> list[list[str]]:
        """The resources that each open subscription names."""
        return [one.message["params"]["notifications"].get("resourceSubscriptions", []) for one in self.open()]


@contextlib.asynccontextmanager
async def stateless(folder: Path, workers: int = 1) -> AsyncIterator[tuple[Gateway, Gateway, Stateless]]:
    telling = Stateless()
    async with (
        legacy_server(telling.act) as telling.server,
        gateways(folder, telling.server.port, "modern", workers) as (first, other),
    ):
        yield first, other, telling


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
