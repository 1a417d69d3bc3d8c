"""Servers over HTTP with SSE: the endpoint they name, the stream they end, and what they do not take."""

import asyncio
from typing import Any

import pytest
from tests.contracts.mcp_servers import Talk, hello, until
from tests.fakes.mcp_http import Exchange
from tests.fakes.net_servers import read_request, serving

from portico.net.errors import Malformed, NetError, Rejected, TimedOut, Unreachable
from portico.upstream.mcp.upstream import McpSpec

pytestmark = pytest.mark.anyio


class SseServer:
    """Names `endpoint`, then answers every request on the stream it was opened with last."""

    def __init__(self, endpoint: str = "/messages?session=1") -> None:
        self.endpoint = endpoint
        self.stream: Exchange | None = None
        self.opened = 0
        self.posts: list[Exchange] = []
        self.status = 202
        self.silent = False

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            exchange = Exchange(await read_request(reader), writer)
            if exchange.method == "GET":
                self._open(exchange)
            else:
                self._take(exchange)
            await writer.drain()

    def _open(self, exchange: Exchange) -> None:
        self.stream = exchange
        self.opened += 1
        exchange.begin_events()
        if self.endpoint:
            exchange.event(self.endpoint, name="endpoint")

    def _take(self, exchange: Exchange) -> None:
        self.posts.append(exchange)
        exchange.reply(self.status)
        message = exchange.message
        if self.stream is None or self.silent or self.status != 202 or "id" not in message:
            return
        result: Any = {"echo": message.get("params")}
        if message["method"] == "initialize":
            result = {"protocolVersion": "2024-11-05", "capabilities": {}, "serverInfo": {"name": "x", "version": "1"}}
        self.stream.event({"jsonrpc": "2.0", "id": message["id"], "result": result})


def spec_for(port: int, **more: Any) -> McpSpec:
    named = {"tenant": "default", "document": "d", "name": "old", "protocol": "legacy", "timeout": 2.0, **more}
    return McpSpec(kind="sse", url=f"http://127.0.0.1:{port}/sse", **named)


async def test_messages_go_where_the_server_says_with_the_documents_headers(pool) -> None:
    fake = SseServer()
    async with serving(fake.handle) as server:
        spec = spec_for(server.port, headers=(("Authorization", "Bearer x"),))
        talk = Talk(await pool.lease([spec])[spec].legacy(hello()))
        assert (await talk.call("say"))["echo"]["name"] == "say"
        assert {post.target for post in fake.posts} == {"/messages?session=1"}
        assert {post.headers["authorization"] for post in fake.posts} == {"Bearer x"}


@pytest.mark.parametrize("endpoint", ["http://evil.example/messages", "//evil.example/m", "http://127.0.0.1:1/m"])
async def test_an_endpoint_on_another_origin_is_refused(pool, endpoint) -> None:
    fake = SseServer(endpoint)
    async with serving(fake.handle) as server:
        spec = spec_for(server.port)
        with pytest.raises(Malformed, match="named an endpoint on another origin"):
            await pool.lease([spec])[spec].legacy(hello())
        assert not fake.posts


async def test_a_server_that_names_no_endpoint_is_given_up_in_time(pool) -> None:
    async with serving(SseServer("").handle) as server:
        spec = spec_for(server.port, timeout=0.3)
        with pytest.raises(TimedOut, match=r"named no endpoint on it within 0.3 s"):
            await asyncio.wait_for(pool.lease([spec])[spec].legacy(hello()), 1.3)


async def test_a_stream_that_ends_fails_the_calls_and_is_opened_again(pool) -> None:
    fake = SseServer()
    async with serving(fake.handle) as server:
        spec = spec_for(server.port)
        upstream = pool.lease([spec])[spec]
        talk = Talk(await upstream.legacy(hello()))
        fake.silent = True
        asking = asyncio.create_task(talk.call("say"))
        await until(lambda: len(fake.posts) == 3)
        fake.silent = False
        assert fake.stream is not None
        fake.stream.end_events()
        with pytest.raises(Unreachable, match=r"old \(http://127.0.0.1:\d+\) ended its stream"):
            await asking
        assert upstream.health.state == "down"
        await talk.until("portico/reconnected")
        assert fake.opened == 2
        assert (await talk.call("say"))["echo"]["name"] == "say"


async def test_a_message_that_is_refused_fails_its_call(pool) -> None:
    fake = SseServer()
    async with serving(fake.handle) as server:
        spec = spec_for(server.port)
        talk = Talk(await pool.lease([spec])[spec].legacy(hello()))
        fake.status = 500
        with pytest.raises(Rejected, match="answered 500 Internal Server Error"):
            await talk.call("say")
        fake.status = 202
        assert (await talk.call("say"))["echo"]["name"] == "say"


async def test_a_streamable_server_is_recognised(pool) -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 405 No\r\nContent-Length: 0\r\n\r\n")

    async with serving(handle) as server:
        spec = spec_for(server.port)
        with pytest.raises(NetError, match="if it speaks streamable HTTP, write `type: http`"):
            await pool.lease([spec])[spec].legacy(hello())
