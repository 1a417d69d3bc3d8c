"""Streamable HTTP servers that fail in every way, and what the gateway says and does about it."""

import asyncio
import json
from collections.abc import Awaitable, Callable

import pytest
from tests.contracts.mcp_servers import CAPABILITIES, Talk, hello, params, until
from tests.fakes.mcp_http import EVENTS, Exchange, LegacyServer, legacy_server
from tests.fakes.ports import free_port

from portico.net.errors import Malformed, Rejected, TimedOut, Unreachable
from portico.upstream.mcp.upstream import McpSpec, McpUpstream
from portico.upstream.pool import Pool

pytestmark = pytest.mark.anyio


def spec_for(port: int, **more) -> McpSpec:
    named = {"tenant": "default", "document": "d", "name": "remote", "protocol": "legacy", "timeout": 5.0, **more}
    return McpSpec(kind="http", url=f"http://127.0.0.1:{port}/mcp?key=hidden", **named)


async def talk_to(pool: Pool, server: LegacyServer, **more) -> tuple[McpUpstream, Talk]:
    spec = spec_for(server.port, **more)
    upstream = pool.lease([spec])[spec]
    return upstream, Talk(await upstream.legacy(hello()))


def when(tool: str, then: Callable[[Exchange], Awaitable[None]]):
    async def act(exchange: Exchange) -> bool:
        if exchange.tool != tool:
            return False
        await then(exchange)
        return True

    return act


async def test_the_handshake_and_the_end_are_as_specified(pool) -> None:
    async with legacy_server() as server:
        _, talk = await talk_to(pool, server, headers=(("Authorization", "Bearer hunter2"),))
        await talk.call("say")
        talk.conversation.release()
        await pool.close()
        # The standing stream may be asked for before or after the call.
        assert [one for one in server.methods() if one != "GET"] == [
            "initialize",
            "notifications/initialized",
            "tools/call",
            "DELETE",
        ]
        first, called = server.seen[0], next(one for one in server.seen if one.tool)
        assert first.message["params"]["capabilities"] == CAPABILITIES
        assert first.message["params"]["clientInfo"] == {"name": "test", "version": "1"}
        assert "mcp-session-id" not in first.headers
        assert called.headers["mcp-session-id"] == "session-1"
        assert called.headers["mcp-protocol-version"] == "2025-11-25"
        assert {one.headers["authorization"] for one in server.seen} == {"Bearer hunter2"}
        assert {one.target for one in server.seen} == {"/mcp?key=hidden"}


async def test_a_lost_session_is_renewed_and_the_call_repeated(pool) -> None:
    async with legacy_server() as server:
        _, talk = await talk_to(pool, server)
        server.sessions.clear()
        assert (await talk.call("say"))["content"][0]["text"] == "say"
        assert server.made == 2
        await talk.until("portico/reconnected")


async def test_many_calls_renew_a_lost_session_once(pool) -> None:
    async with legacy_server() as server:
        _, talk = await talk_to(pool, server)
        server.sessions.clear()
        await asyncio.gather(*(talk.call("say") for _ in range(20)))
        assert server.made == 2


async def test_a_server_that_says_400_for_a_lost_session_is_understood(pool) -> None:
    async def act(exchange: Exchange) -> bool:
        if exchange.tool and exchange.headers["mcp-session-id"] == "session-1":
            error = {"code": -32000, "message": "Bad Request: No valid session ID provided"}
            exchange.reply(400, {"jsonrpc": "2.0", "id": None, "error": error})
            return True
        return False

    async with legacy_server(act) as server:
        _, talk = await talk_to(pool, server)
        assert (await talk.call("say"))["content"][0]["text"] == "say"


async def test_a_server_that_forgets_every_session_does_not_loop(pool) -> None:
    async def forget(exchange: Exchange) -> None:
        exchange.reply(404)

    async with legacy_server(when("say", forget)) as server:
        _, talk = await talk_to(pool, server)
        with pytest.raises(Malformed, match="forgets its sessions"):
            await talk.call("say")
        assert server.made == 2


async def test_a_stream_that_is_closed_in_the_middle_is_resumed(pool) -> None:
    async def act(exchange: Exchange) -> bool:
        if exchange.tool:
            exchange.begin_events()
            exchange.event("", identifier="a-1", retry=50)
            exchange.event(
                {"jsonrpc": "2.0", "method": "notifications/message", "params": {"data": "x"}}, identifier="a-2"
            )
            exchange.end_events()
            return True
        if exchange.method == "GET" and exchange.headers.get("last-event-id") == "a-2":
            asked = next(one for one in server.seen if one.tool)
            exchange.begin_events()
            exchange.event({"jsonrpc": "2.0", "id": asked.message["id"], "result": {"resumed": True}}, identifier="a-3")
            exchange.end_events()
            return True
        return False

    async with legacy_server(act) as server:
        _, talk = await talk_to(pool, server)
        assert await talk.call("say") == {"resumed": True}
        assert params(talk.heard[0]) == {"data": "x"}


async def test_a_stream_that_ends_without_an_answer_or_an_id_is_an_error(pool) -> None:
    async def end(exchange: Exchange) -> None:
        exchange.begin_events()
        exchange.end_events()

    async with legacy_server(when("say", end)) as server:
        _, talk = await talk_to(pool, server)
        with pytest.raises(Malformed, match=r"remote \(http://127.0.0.1:\d+\) ended its stream before it had answered"):
            await talk.call("say")


async def test_what_the_server_asks_on_the_stream_is_answered_by_post(pool) -> None:
    answered = asyncio.Event()

    async def act(exchange: Exchange) -> bool:
        if exchange.tool:
            exchange.begin_events()
            exchange.event({"jsonrpc": "2.0", "id": "q", "method": "elicitation/create", "params": {"message": "?"}})
            await exchange.writer.drain()
            await asyncio.wait_for(answered.wait(), 5)
            exchange.event({"jsonrpc": "2.0", "id": exchange.message["id"], "result": {"done": 1}})
            exchange.end_events()
            return True
        if exchange.message.get("id") == "q":
            assert exchange.message["result"] == {"action": "accept"}
            answered.set()
        return False

    async with legacy_server(act) as server:
        _, talk = await talk_to(pool, server)
        talk.answers["elicitation/create"] = {"action": "accept"}
        assert await talk.call("say") == {"done": 1}


async def test_the_time_in_which_a_person_is_asked_does_not_count(pool) -> None:
    answered = asyncio.Event()

    async def act(exchange: Exchange) -> bool:
        if exchange.tool:
            exchange.begin_events()
            exchange.event({"jsonrpc": "2.0", "id": 9, "method": "elicitation/create"})
            await exchange.writer.drain()
            await asyncio.wait_for(answered.wait(), 5)
            exchange.event({"jsonrpc": "2.0", "id": exchange.message["id"], "result": {"done": 1}})
            exchange.end_events()
            return True
        if "result" in exchange.message:
            answered.set()
        return False

    async with legacy_server(act) as server:
        _, talk = await talk_to(pool, server)
        asking = asyncio.create_task(talk.ask("tools/call", {"name": "say"}, timeout=0.6))
        question = await talk.until("elicitation/create")
        await asyncio.sleep(1.2)
        assert not asking.done()
        assert question.answer is not None
        question.answer(b'"result":{}')
        assert not (await asyncio.wait_for(asking, 2)).is_error


async def test_a_call_that_hangs_ends_in_time_and_is_cancelled_upstream(pool) -> None:
    async def hang(exchange: Exchange) -> None:
        await asyncio.sleep(30)

    async with legacy_server(when("say", hang)) as server:
        _, talk = await talk_to(pool, server)
        with pytest.raises(TimedOut, match=r"remote .* failed: 127.0.0.1:.* before the deadline"):
            await asyncio.wait_for(talk.ask("tools/call", {"name": "say"}, timeout=0.4), 1.4)
        await until(lambda: "notifications/cancelled" in server.methods())
        cancelled = next(one for one in server.seen if one.message.get("method") == "notifications/cancelled")
        called = next(one for one in server.seen if one.tool)
        assert cancelled.message["params"]["requestId"] == called.message["id"]


async def test_a_client_that_goes_away_cancels_upstream(pool) -> None:
    async def hang(exchange: Exchange) -> None:
        exchange.begin_events()
        await exchange.writer.drain()
        await asyncio.sleep(30)

    async with legacy_server(when("say", hang)) as server:
        _, talk = await talk_to(pool, server)
        asking = asyncio.create_task(talk.call("say"))
        await until(lambda: any(one.tool for one in server.seen))
        asking.cancel()
        await until(lambda: "notifications/cancelled" in server.methods())


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (401, b'{"error":"no token"}', r'answered 401 Unauthorized: {"error":"no token"}'),
        (500, b"<h1>Oops</h1> Bearer hunter2", r"answered 500 Internal Server Error: <h1>Oops</h1> REDACTED"),
        (302, b"", "redirects are not followed"),
        (200, b"not json", "answered with what is no JSON-RPC"),
        (200, b'{"jsonrpc":"2.0","id":77,"result":{}}', "not to the request that it was sent"),
    ],
)
async def test_an_answer_that_is_none_says_what_came(pool, status, body, said) -> None:
    async def answer(exchange: Exchange) -> None:
        exchange.reply(status, body)

    async with legacy_server(when("say", answer)) as server:
        _, talk = await talk_to(pool, server, headers=(("Authorization", "Bearer hunter2"),))
        with pytest.raises((Rejected, Malformed), match=said) as caught:
            await talk.call("say")
        assert "remote (http://127.0.0.1:" in caught.value.message
        assert "hidden" not in caught.value.message
        assert (await talk.call("other"))["content"]


async def test_an_error_with_the_requests_id_is_an_outcome_at_any_status(pool) -> None:
    async def answer(exchange: Exchange) -> None:
        error = {"code": -32602, "message": "no", "data": {"x": 1}}
        exchange.reply(500, {"jsonrpc": "2.0", "id": exchange.message["id"], "error": error})

    async with legacy_server(when("say", answer)) as server:
        _, talk = await talk_to(pool, server)
        outcome = await talk.ask("tools/call", {"name": "say"})
        assert outcome.is_error
        assert json.loads(b"{" + outcome.member + b"}")["error"]["data"] == {"x": 1}


@pytest.mark.parametrize("kind", ["application/json", EVENTS])
async def test_an_answer_of_100_mb_is_refused_long_before_its_end(pool, kind) -> None:
    async def flood(exchange: Exchange) -> None:
        exchange.writer.write(f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        exchange.chunk(b"data: ")
        for _ in range(100):
            exchange.chunk(b"x" * 1_000_000)
            await exchange.writer.drain()

    async with legacy_server(when("say", flood)) as server:
        _, talk = await talk_to(pool, server)
        with pytest.raises(Rejected, match=r"more than \d+ bytes"):
            await asyncio.wait_for(talk.call("say"), 8)


async def test_garbage_on_a_stream_is_ignored(pool) -> None:
    async def babble(exchange: Exchange) -> None:
        exchange.begin_events()
        exchange.event("garbage")
        exchange.event({"jsonrpc": "2.0", "id": 4242, "result": {"foreign": 1}})
        for _ in range(2):
            exchange.event({"jsonrpc": "2.0", "id": exchange.message["id"], "result": {"own": 1}})
        exchange.end_events()

    async with legacy_server(when("say", babble)) as server:
        _, talk = await talk_to(pool, server)
        assert await talk.call("say") == {"own": 1}
        assert (await talk.call("other"))["content"]


async def test_a_server_that_is_not_there_is_named_and_comes_back_by_itself(pool) -> None:
    port = free_port()
    spec = spec_for(port)
    upstream = pool.lease([spec])[spec]
    with pytest.raises(Unreachable, match=rf"remote \(http://127.0.0.1:{port}\) failed: .* refused"):
        await asyncio.wait_for(upstream.legacy(hello()), 5)
    assert upstream.health.state == "down"
    async with legacy_server(port=port):
        await until(lambda: upstream.health.state == "serving", 8)


async def test_a_server_that_restarts_is_greeted_anew_and_the_clients_hear_of_it(pool) -> None:
    async with legacy_server() as server:
        upstream, talk = await talk_to(pool, server)
        port = server.port
        await until(lambda: server.streams)
    async with legacy_server(port=port) as server:
        await talk.until("portico/reconnected")
        assert server.made == 1
        assert (await talk.call("say"))["content"][0]["text"] == "say"
        assert upstream.health.state == "serving"


async def test_the_standing_stream_brings_what_concerns_no_call(pool) -> None:
    async with legacy_server() as server:
        _, talk = await talk_to(pool, server)
        await until(lambda: server.streams)
        server.streams[0].event(
            {"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}, identifier="s-1", retry=50
        )
        await talk.until("notifications/tools/list_changed")
        server.streams[0].end_events()
        await until(lambda: len(server.streams) == 2)
        assert server.streams[1].headers["last-event-id"] == "s-1"


async def test_a_server_without_a_standing_stream_is_left_in_peace(pool) -> None:
    async def act(exchange: Exchange) -> bool:
        if exchange.method == "GET":
            exchange.reply(405)
            return True
        return False

    async with legacy_server(act) as server:
        upstream, talk = await talk_to(pool, server)
        await until(lambda: "GET" in server.methods())
        await talk.call("say")
        assert server.methods().count("GET") == 1
        assert upstream.health.state == "serving"


async def test_equal_hellos_share_a_session_and_others_do_not(pool) -> None:
    async with legacy_server() as server:
        upstream, talk = await talk_to(pool, server)
        again, other = await upstream.legacy(hello()), await upstream.legacy(hello(sampling={}))
        assert again is talk.conversation
        assert other is not again
        assert server.made == 2


async def test_no_client_can_cancel_the_request_of_another(pool) -> None:
    async with legacy_server() as server:
        _, talk = await talk_to(pool, server)
        await talk.conversation.notify("notifications/cancelled", b'{"requestId":2}')
        await talk.conversation.notify("notifications/roots/list_changed", None)
        assert "notifications/roots/list_changed" in server.methods()
        assert "notifications/cancelled" not in server.methods()


async def test_forwarded_headers_pass_but_never_over_what_is_configured(pool) -> None:
    async with legacy_server() as server:
        _, talk = await talk_to(pool, server, headers=(("X-Key", "configured"),))
        deadline = asyncio.get_running_loop().time() + 5
        given = {"x-trace": "7", "x-key": "theirs", "Host": "evil", "Mcp-Session-Id": "stolen", "cookie": "c"}
        await talk.conversation.request("ping", None, identifier=1, deadline=deadline, headers=given)
        seen = server.seen[-1].headers
        assert (seen["x-trace"], seen["x-key"], seen["mcp-session-id"]) == ("7", "configured", "session-1")
        assert "cookie" not in seen
        assert seen["host"].startswith("127.0.0.1")
        with pytest.raises(Rejected, match="holds what a header cannot carry"):
            await talk.conversation.request(
                "ping", None, identifier=1, deadline=deadline, headers={"x-trace": "a\r\nX-Evil: 1"}
            )
