"""What one client, one tenant and all together may ask of the gateway, and what becomes of who asks for more.

Each limit is made small by its setting; at its default the same requests pass, as every other test here shows.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.gateway import MODERN, Gateway, body, modern_body, modern_headers, running
from tests.fakes.http_wire import Reply, Wire
from tests.fakes.rest import Answered
from tests.interaction.rows import eventually

from portico.gateway.exchange import Request
from portico.gateway.protocol.dispatch import METHODS

pytestmark = pytest.mark.anyio

DOCUMENT = """
version: 1
name: limited
tenant: one
values: {base: "REST"}
routers:
  - {prefix: /users, server: users}
  - {prefix: /narrow, server: users, limits: {concurrency: 2}}
  - {prefix: /rated, server: users, limits: {rate: 1/h, burst: 3}}
  - {prefix: /brief, server: users, limits: {timeout: 300ms}}
servers: [{name: users}]
tools:
  - {name: hold, request: {url: "{{ values.base }}/hold"}}
  - {name: echo, request: {url: "{{ values.base }}/echo"}}
  - {name: large, request: {url: "{{ values.base }}/large"}}
"""
OTHER = (
    DOCUMENT.replace("name: limited", "name: other")
    .replace("tenant: one", "tenant: two")
    .replace("prefix: /", "prefix: /2")
)
MCP = "/users/mcp"
PING = body("ping")
HOLD = {"name": "hold"}
ECHO = {"name": "echo"}
GET = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
SLOW = 0.1

Limited = Callable[..., contextlib.AbstractAsyncContextManager[Gateway]]


@pytest.fixture
def limited(tmp_path: Path) -> Limited:
    """A gateway of these documents with some settings of its own."""
    return lambda **settings: running(tmp_path, {"a.yaml": DOCUMENT, "b.yaml": OTHER}, **settings)


@pytest.fixture
def limited_both_ways(tmp_path: Path, ingress: str) -> Limited:
    return lambda **settings: running(tmp_path, {"a.yaml": DOCUMENT, "b.yaml": OTHER}, ingress=ingress, **settings)


async def ended(wire: Wire, status: int | None = None) -> None:
    """The gateway answers with this status, or not at all, and closes."""
    if status is not None:
        reply = await wire.reply()
        assert reply.status == status
        assert reply.headers["connection"] == "close"
    assert await wire.at_end()


# Connections: slow heads, bodies and readers --------------------------------------------------------------------------


async def test_a_connection_on_which_nothing_comes_is_closed(limited: Limited) -> None:
    async with limited(limit_first_byte=SLOW) as gateway:
        await ended(await gateway.connect())


async def test_a_head_that_comes_too_slowly_is_refused(limited: Limited) -> None:
    async with limited(limit_head=SLOW) as gateway:
        wire = await gateway.connect()
        dripping = asyncio.ensure_future(drip(wire, GET[:-4] + b"\r\nX: " + b"y" * 1000))
        await ended(wire, 408)
        dripping.cancel()


async def test_a_body_that_stops_is_refused(limited: Limited) -> None:
    async with limited(limit_body_pause=SLOW) as gateway:
        wire = await gateway.connect()
        await wire.send(gateway.encode("POST", MCP, {"Content-Length": "100"}, b"{"))
        await ended(wire, 408)


async def test_a_body_that_comes_too_slowly_is_refused(limited: Limited) -> None:
    async with limited(limit_body_time=SLOW) as gateway:
        wire = await gateway.connect()
        await wire.send(gateway.encode("POST", MCP, {"Content-Length": "1000"}, b"{"))
        dripping = asyncio.ensure_future(drip(wire, b" " * 900))
        await ended(wire, 408)
        dripping.cancel()


async def test_a_kept_connection_on_which_nothing_comes_is_closed(limited: Limited) -> None:
    async with limited(limit_idle=SLOW) as gateway:
        wire = await gateway.connect()
        await wire.send(GET)
        assert (await wire.reply()).status == 200
        await ended(wire)


async def drip(wire: Wire, data: bytes) -> None:
    for byte in data:
        await wire.send(bytes([byte]))
        await asyncio.sleep(0.02)


async def test_who_does_not_read_a_large_answer_is_disconnected(limited: Limited) -> None:
    async with limited(limit_reader=SLOW) as gateway:
        gateway.rest.answers["/large"] = Answered(b'"' + b"x" * 7_000_000 + b'"')
        wire = await Wire.connect(gateway.port, receive=4096)
        params = {"name": "large"}
        await wire.send(
            gateway.encode("POST", MCP, modern_headers("tools/call", params), modern_body("tools/call", params))
        )
        await eventually(lambda: "does not read" in gateway.log())
        await eventually(lambda: len(gateway.worker.public) == 0)
        wire.abort()


async def test_who_does_not_read_a_stream_is_disconnected(limited: Limited) -> None:
    async with limited(limit_reader=SLOW, limit_unread=100_000_000) as gateway:
        wire = await stalled_stream(gateway)
        await eventually(lambda: "does not read" in gateway.log())
        await eventually(lambda: len(gateway.worker.world.streams) == len(gateway.worker.public) == 0)
        wire.abort()


async def test_who_lets_too_much_of_a_stream_pile_up_is_disconnected_at_once(limited: Limited) -> None:
    async with limited(limit_unread=64 * 1024) as gateway:
        wire = await stalled_stream(gateway)
        await eventually(lambda: "pile up" in gateway.log())
        await eventually(lambda: len(gateway.worker.world.streams) == len(gateway.worker.public) == 0)
        wire.abort()


async def stalled_stream(gateway: Gateway) -> Wire:
    gateway.rest.answers["/large"] = Answered(b'"' + b"x" * 7_000_000 + b'"')
    wire = await Wire.connect(gateway.port, receive=4096)
    params = {"name": "large"}
    raw = modern_body("tools/call", params, {"progressToken": 1})
    await wire.send(gateway.encode("POST", MCP, modern_headers("tools/call", params), raw))
    return wire


async def test_silent_connections_make_room_for_new_ones(limited: Limited) -> None:
    async with limited(limit_connections=10) as gateway:
        silent = [await gateway.connect() for _ in range(10)]
        for _ in range(10):
            assert (await gateway.send("GET", "/livez")).status == 200
        await asyncio.wait_for(
            asyncio.wait([asyncio.ensure_future(w.at_end()) for w in silent], return_when="FIRST_COMPLETED"), 5
        )
        assert len(gateway.worker.public) <= 10


# Sizes ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "value", "status"),
    [("limit_url", 30, 414), ("limit_headers", 5, 431), ("limit_header_bytes", 300, 431), ("limit_body", 150, 413)],
)
async def test_a_request_that_is_too_large_is_refused(
    limited_both_ways: Limited, setting: str, value: int, status: int
) -> None:
    async with limited_both_ways(**{setting: value}) as gateway:
        assert (await gateway.send("POST", MCP, {"Accept": None}, PING)).status == 200
        more = [(f"X-{number}", "y" * 50) for number in range(10)]
        for extra in (PING + b" " * 200, b"%x\r\n%b\r\n0\r\n\r\n" % (len(PING) + 200, PING + b" " * 200)):
            framing = {"Content-Length": None, "Transfer-Encoding": "chunked"} if extra[-4:] == b"\r\n\r\n" else {}
            reply = await gateway.send("POST", MCP + "?" + "q" * 60, framing, extra, more=more)
            assert reply.status == status
            assert reply.headers["connection"] == "close"


# Calls under way ------------------------------------------------------------------------------------------------------


def is_overloaded(reply: Reply, status: int, words: str) -> None:
    assert reply.status == status
    assert int(reply.headers["retry-after"]) >= 1
    assert reply.headers["content-type"] == "application/json"
    assert reply.error["code"] == -32000
    assert words in reply.error["message"]
    assert reply.error["data"]["callId"]


@contextlib.asynccontextmanager
async def held(gateway: Gateway, count: int = 1, path: str = "/users", **headers: str) -> AsyncIterator[list[Wire]]:
    """Calls that are under way until the block ends."""
    before = gateway.worker.world.conversations.admission.calls
    raw = gateway.encode(
        "POST", f"{path}/mcp", modern_headers("tools/call", HOLD) | headers, modern_body("tools/call", HOLD)
    )
    wires = [await gateway.connect() for _ in range(count)]
    for wire in wires:
        await wire.send(raw)
    await eventually(lambda: gateway.worker.world.conversations.admission.calls == before + count)
    try:
        yield wires
    finally:
        for wire in wires:
            wire.abort()
        await nothing_under_way(gateway)


async def nothing_under_way(gateway: Gateway) -> None:
    admission = gateway.worker.world.conversations.admission
    await eventually(lambda: admission.calls == 0)
    assert admission._callers == {}
    assert all(tenant.calls == 0 for tenant in admission._tenants.values())
    assert all(gate.calls == 0 for gate in admission._gates.values())


async def test_calls_under_way_are_bounded_in_all(limited_both_ways: Limited) -> None:
    async with limited_both_ways(limit_in_flight=2) as gateway:
        async with held(gateway, 2):
            is_overloaded(await gateway.modern("tools/list", path="/2users"), 503, "2 calls are under way")
            is_overloaded(await gateway.send("POST", MCP, {}, PING), 503, "2 calls are under way")
        assert (await gateway.modern("tools/list")).status == 200


async def test_one_tenant_cannot_take_all_places(limited_both_ways: Limited) -> None:
    async with limited_both_ways(limit_in_flight_tenant=2) as gateway, held(gateway, 2):
        is_overloaded(await gateway.modern("tools/list", path="/narrow"), 429, "of this tenant")
        assert (await gateway.modern("tools/list", path="/2users")).status == 200


async def test_one_caller_cannot_take_all_places(limited_both_ways: Limited) -> None:
    settings: dict[str, Any] = {"limit_in_flight_caller": 2, "trusted_proxy": ("127.0.0.1",)}
    one, other = {"X-Forwarded-For": "203.0.113.9"}, {"X-Forwarded-For": "203.0.113.10"}
    async with limited_both_ways(**settings) as gateway, held(gateway, 2, **one):
        is_overloaded(await gateway.modern("tools/list", headers=one), 429, "of this client")
        assert (await gateway.modern("tools/list", headers=other)).status == 200


async def test_one_caller_cannot_take_all_connections_to_a_service(limited: Limited) -> None:
    """What a service is asked at once is bounded too; beyond it a call is refused, not queued for long."""
    async with limited(limit_upstream_connections=1, limit_upstream_in_flight=2, limit_upstream_queue=0.1) as gateway:
        async with held(gateway, 1):
            await gateway.rest.until(gateway.rest.held)
            for reply in await asyncio.gather(*(gateway.modern("tools/call", ECHO) for _ in range(3))):
                is_overloaded(reply, 503, gateway.rest.url.partition("//")[2])
        gateway.rest.release.set()
        assert (await gateway.modern("tools/call", ECHO)).result["isError"] is False


async def test_a_place_is_free_again_however_its_call_ends(limited_both_ways: Limited) -> None:
    async with limited_both_ways(limit_in_flight=1) as gateway:
        client, sse = await gateway.open(), await gateway.open_sse()
        ways: list[Callable[[], Awaitable[Any]]] = [
            lambda: gateway.modern("tools/call", ECHO),
            lambda: gateway.modern("tools/call", {"name": "nobody"}),
            lambda: gateway.modern("tools/call", HOLD, path="/brief"),
            lambda: gateway.modern("nonsense"),
            lambda: client.request("tools/call", ECHO),
            lambda: client.request("tools/call", {"name": "nobody"}),
            lambda: client.request("nonsense"),
            lambda: sse.request("tools/call", ECHO),
            lambda: sse.request("tools/call", {"name": "nobody"}),
            lambda: gateway.send("POST", MCP, {}, PING),
            lambda: gateway.open(),
            lambda: gateway.send("POST", MCP, {}, body("initialize", {"protocolVersion": 7})),
            lambda: disconnected(gateway, {}),
            lambda: disconnected(gateway, {"progressToken": 1}),
            lambda: cancelled(gateway, client, {}),
            lambda: cancelled(gateway, client, {"_meta": {"progressToken": 1}}),
            lambda: a_stream_to_its_end(client.post_stream("tools/call", ECHO | {"_meta": {"progressToken": 1}})),
            lambda: a_stream_to_its_end(gateway.modern_stream("tools/call", ECHO, meta={"progressToken": 1})),
        ]  # fmt: skip
        for way in ways:
            await way()
            await nothing_under_way(gateway)
        sse.wire.abort()


async def test_a_place_is_free_again_when_the_call_never_began(limited: Limited) -> None:
    async with limited() as gateway:
        shared, endpoint = gateway.worker.world.conversations, gateway.worker.world.live.current.endpoints["/users"]
        request = Request("POST", b"/users/mcp", b"", {}, b"", address="10.0.0.1")
        call = shared.open(request, endpoint, None, None, True, MODERN)
        shared.admission.enter(call)
        cancel = shared.start(call, METHODS["tools/list"], lambda answer: None)
        cancel()
        await nothing_under_way(gateway)


async def disconnected(gateway: Gateway, meta: dict[str, Any]) -> None:
    gateway.rest.forget()
    wire = await gateway.connect()
    raw = modern_body("tools/call", HOLD, meta)
    await wire.send(gateway.encode("POST", MCP, modern_headers("tools/call", HOLD), raw))
    await gateway.rest.until(gateway.rest.held)
    assert gateway.worker.world.conversations.admission.calls == 1
    wire.abort()


async def cancelled(gateway: Gateway, client: Any, params: dict[str, Any]) -> None:
    gateway.rest.forget()
    raw = body("tools/call", HOLD | params, "to be cancelled")
    wire = await gateway.connect()
    await wire.send(gateway.encode("POST", MCP, client.headers(), raw))
    await gateway.rest.until(gateway.rest.held)
    assert gateway.worker.world.conversations.admission.calls == 1
    await client.notify("notifications/cancelled", {"requestId": "to be cancelled"})
    await wire.reply()
    wire.abort()


async def a_stream_to_its_end(opening: Awaitable[Wire]) -> None:
    wire = await opening
    while await wire.event() is not None:
        pass
    wire.abort()


async def test_a_refused_call_took_no_place_and_no_stream(limited_both_ways: Limited) -> None:
    async with limited_both_ways(limit_streams_address=1) as gateway:
        client = await gateway.open()
        listening = await gateway.modern_stream("subscriptions/listen", {"notifications": {}})
        for meta in ({"progressToken": 1}, {"progressToken": 2}):
            reply = await gateway.modern("tools/call", ECHO, meta=meta)
            assert (reply.status, reply.headers["retry-after"]) == (429, "5")
            reply = await client.request("tools/call", ECHO | {"_meta": meta})
            assert (reply.status, reply.headers["retry-after"]) == (429, "5")
        await nothing_under_way(gateway)
        listening.abort()


# Routers --------------------------------------------------------------------------------------------------------------


async def test_a_router_bounds_how_many_calls_are_under_way(limited_both_ways: Limited) -> None:
    async with limited_both_ways() as gateway:
        async with held(gateway, 2, "/narrow"):
            words = "as many calls of /narrow are under way as its limits.concurrency allows"
            is_overloaded(await gateway.modern("tools/call", ECHO, path="/narrow"), 429, words)
            is_overloaded(await gateway.send("POST", "/narrow/mcp", {}, PING), 429, words)
            assert (await gateway.modern("tools/call", ECHO)).status == 200
        assert (await gateway.modern("tools/call", ECHO, path="/narrow")).status == 200


async def test_a_router_bounds_how_fast_calls_come(limited_both_ways: Limited) -> None:
    async with limited_both_ways() as gateway:
        words = "calls of /rated come faster than its limits.rate allows"
        client = await gateway.open(path="/rated")
        for _ in range(2):
            assert (await gateway.modern("tools/call", ECHO, path="/rated")).status == 200
        for reply in (
            await gateway.modern("tools/call", ECHO, path="/rated"),
            await gateway.modern("tools/call", ECHO, path="/rated", meta={"progressToken": 1}),
            await gateway.modern("subscriptions/listen", {"notifications": {}}, path="/rated"),
            await client.request("tools/call", ECHO),
            await client.request("tools/call", ECHO | {"_meta": {"progressToken": 1}}),
            await gateway.send("POST", "/rated/mcp", {}, PING),
        ):
            is_overloaded(reply, 429, words)
            assert 3000 < int(reply.headers["retry-after"]) <= 3600
        refused = await gateway.send("POST", "/rated/mcp", {}, body("initialize", {"protocolVersion": "2025-11-25"}))
        assert refused.status == 429
        assert len(gateway.worker.world.sessions) == 1
        assert (await gateway.modern("tools/call", ECHO)).status == 200
        await gateway.reload()
        is_overloaded(await gateway.modern("tools/call", ECHO, path="/rated"), 429, words)


async def test_over_the_sse_transport_the_refusal_is_the_answer(limited_both_ways: Limited) -> None:
    async with limited_both_ways() as gateway:
        sse = await gateway.open_sse("/rated")
        for _ in range(2):
            assert "result" in await sse.request("tools/call", ECHO)
        for _ in range(2):
            error = (await sse.request("tools/call", ECHO))["error"]
            assert (error["code"], "limits.rate" in error["message"]) == (-32000, True)
        sse.wire.abort()


async def test_a_batch_counts_each_of_its_calls(limited_both_ways: Limited) -> None:
    async with limited_both_ways() as gateway:
        client = await gateway.open("2025-03-26", "/rated")
        raw = b"[%b]" % b",".join(body("tools/call", ECHO, number) for number in range(5))
        reply = await gateway.send("POST", "/rated/mcp", client.headers(), raw)
        assert sorted("result" in answer for answer in reply.json) == [False, False, False, True, True]
        await nothing_under_way(gateway)


# Streams and sessions -------------------------------------------------------------------------------------------------


async def test_open_streams_are_bounded_in_all_and_for_each_address(limited_both_ways: Limited) -> None:
    for setting in ("limit_streams", "limit_streams_address"):
        async with limited_both_ways(**{setting: 3}) as gateway:
            client = await gateway.open()
            accept = {"Accept": "text/event-stream"}
            wires = [
                await gateway.modern_stream("subscriptions/listen", {"notifications": {}}),
                await client.get_stream(),
            ]
            wires.append((await gateway.stream("GET", "/users/sse", accept))[0])
            for reply in (
                await gateway.send("GET", "/users/sse", accept),
                await gateway.send("GET", MCP, client.headers(accept)),
                await gateway.modern("subscriptions/listen", {"notifications": {}}),
                await gateway.modern("tools/call", ECHO, meta={"progressToken": 1}),
            ):
                assert (reply.status, reply.headers["retry-after"]) == (429, "5")
            for wire in wires:
                wire.abort()
            await eventually(lambda gateway=gateway: len(gateway.worker.world.streams) == 0)
            (await client.get_stream()).abort()


async def test_sessions_are_bounded_in_all_and_for_each_address(limited_both_ways: Limited) -> None:
    for setting in ("limit_sessions", "limit_sessions_address"):
        async with limited_both_ways(**{setting: 2}) as gateway:
            first, second = await gateway.open(), await gateway.open()
            streams = [await first.get_stream(), await second.get_stream()]
            refused = await gateway.send("POST", MCP, {}, body("initialize", {"protocolVersion": "2025-11-25"}))
            assert (refused.status, refused.headers["retry-after"]) == (429, "5")
            assert (await gateway.send("GET", "/users/sse", {"Accept": "text/event-stream"})).status == 429
            await nothing_under_way(gateway)
            for stream in streams:
                stream.abort()
            await eventually(lambda gateway=gateway: len(gateway.worker.world.streams) == 0)
            # An idle session makes room for its own client's next one.
            await gateway.open()
            assert len(gateway.worker.world.sessions) == 2
            assert (await first.request("tools/list")).status == 404


async def test_a_session_ends_when_it_is_not_used_and_when_it_is_old(limited: Limited) -> None:
    for setting in ("limit_session_idle", "limit_session_life"):
        async with limited(**{setting: 0.2}) as gateway:
            client = await gateway.open()
            assert (await client.request("tools/list")).status == 200
            await asyncio.sleep(0.25)
            assert (await client.request("tools/list")).status == 404
            assert len(gateway.worker.world.sessions) == 0


# Services -------------------------------------------------------------------------------------------------------------


async def test_a_service_in_trouble_is_left_alone_and_everybody_is_told(limited: Limited) -> None:
    async with limited(admin=True, limit_breaker_failures=3, limit_breaker_pause=30.0) as gateway:
        name = gateway.rest.url.partition("//")[2]
        for _ in range(3):
            result = (await gateway.modern("tools/call", HOLD, path="/brief")).result
            assert "did not answer within" in result["content"][0]["text"]
        for tool in (HOLD, ECHO):
            result = (await gateway.modern("tools/call", tool)).result
            assert result["isError"] is True
            text = result["content"][0]["text"]
            assert text.startswith(f"{name} failed 3 times in a row and is tried again in ")
            assert text.endswith(f"at last: {name} did not answer before the deadline of the call.")
        status = (await gateway.send("GET", "/status", port=gateway.admin_port)).json
        assert 0 < status[0]["services"][name]["broken"] <= 30
        metrics = (await gateway.send("GET", "/metrics", port=gateway.admin_port)).text
        assert f'portico_upstream_breakers_open{{upstream="{name}"}} 1.0' in metrics
        assert len(gateway.rest.requests) == 3


@pytest.mark.parametrize(
    ("setting", "value", "words"),
    [
        ("limit_answer_body", 1000, "more than 1000 bytes"),
        ("limit_answer_headers", 1, "more than 1 headers"),
        ("limit_answer_header_bytes", 60, "more than 60 bytes of headers"),
    ],
)
async def test_an_answer_that_is_too_large_is_a_tool_error(
    limited: Limited, setting: str, value: int, words: str
) -> None:
    async with limited(**{setting: value}) as gateway:
        gateway.rest.answers["/large"] = Answered(b'"' + b"x" * 2000 + b'"')
        result = (await gateway.modern("tools/call", {"name": "large"})).result
        assert result["isError"] is True
        assert words in result["content"][0]["text"]


async def test_an_answer_that_does_not_begin_in_time_is_a_tool_error(limited: Limited) -> None:
    async with limited(limit_answer=SLOW) as gateway:
        result = (await gateway.modern("tools/call", HOLD)).result
        assert result["isError"] is True
        assert "did not answer within" in result["content"][0]["text"]


async def test_idle_streams_are_kept_alive(limited_both_ways: Limited) -> None:
    async with limited_both_ways() as gateway:
        client, sse = await gateway.open(), await gateway.open_sse()
        listening = await gateway.modern_stream("subscriptions/listen", {"notifications": {}})
        wires = [await client.get_stream(), listening, sse.wire]
        gateway.worker.world.streams.keep_alive()
        gateway.worker.world.streams.close()
        for wire in wires:
            while await wire.event() is not None:
                pass
            assert wire.comments == 1
