"""What a server of the handshake tells a client of 2026-07-28, and what of the client's giving up reaches the server;
in one worker, and with the client at one of two and its answers at the other.
"""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.gateway import Gateway, modern_body, modern_headers
from tests.fakes.http_wire import Reply, Wire
from tests.fakes.telling import (
    ABLE,
    ADA,
    CHANGED,
    NAMESPACE,
    UPDATED,
    A,
    B,
    event,
    handshaking,
    next_message,
    said,
    until,
)

from portico.gateway.session.session import LEVELS

pytestmark = pytest.mark.anyio


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
