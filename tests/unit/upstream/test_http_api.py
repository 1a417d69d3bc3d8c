"""A tool called for real: over a socket, against a server that answers with given bytes."""

import asyncio
import json
from typing import Any

import pytest
from tests.fakes.net_servers import answering, serving

from portico.config.document import Tool
from portico.net.egress import Egress
from portico.net.http_client import HttpClient
from portico.upstream.http_answer import Shaped
from portico.upstream.http_api import HttpTool

pytestmark = pytest.mark.anyio

OK = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n{"id": "a"}'


@pytest.fixture
async def client():
    client = HttpClient(Egress.parse("any"))
    yield client
    await client.aclose()


def tool(client: HttpClient, port: int, request: dict[str, Any] | None = None, **more: Any) -> HttpTool:
    written = {
        "name": "tool",
        "args": [{"name": "id", "in": "path"}],
        "request": {"url": "{{ values.base }}/users/{id}", **(request or {})},
        **more,
    }
    values = {"base": f"http://127.0.0.1:{port}"}
    return HttpTool(Tool.model_validate(written), values, {"T": "hunter2"}, client)


async def call(tool: HttpTool, **args: Any) -> Shaped:
    deadline = asyncio.get_running_loop().time() + 5
    return await asyncio.wait_for(tool.call(args, {}, None, deadline), 10)


def text(shaped: Shaped) -> str:
    return json.loads(shaped.content)[0]["text"]


async def test_a_call_is_rendered_sent_and_shaped(client):
    async with serving(answering(OK)) as server:
        shaped = await call(tool(client, server.port, response={"body": {"got": "{{ response.json.id }}"}}), id="a b")
    assert shaped.structured == b'{"got":"a"}'
    assert not shaped.is_error


async def test_nothing_is_sent_when_the_request_cannot_be_written(client):
    async with serving(answering(OK)) as server:
        shaped = await call(tool(client, server.port), id="..")
        assert shaped.is_error
        assert "could not be written: `args.id` would leave its place in the path" in text(shaped)
        assert server.connections == 0


async def test_an_upstream_that_is_not_there_is_named_with_the_cause(client):
    async with serving(answering(OK)) as server:
        port = server.port
    shaped = await call(tool(client, port), id="1")
    assert shaped.is_error
    assert f"127.0.0.1:{port}" in text(shaped)
    assert "hunter2" not in text(shaped)


async def test_an_upstream_that_is_too_slow_is_named_with_the_time(client):
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with serving(silent) as server:
        shaped = await call(tool(client, server.port, {"timeout": "200ms"}), id="1")
    assert shaped.is_error
    assert text(shaped) == f"127.0.0.1:{server.port} did not answer within 0.2 s."


async def test_a_broken_answer_is_an_error(client):
    async with serving(answering(b"SMTP ready\r\n\r\n", close=True)) as server:
        shaped = await call(tool(client, server.port, {"method": "POST"}), id="1")
    assert shaped.is_error
    assert f"127.0.0.1:{server.port}" in text(shaped)


async def test_an_answer_to_head_has_no_body(client):
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n"
    async with serving(answering(head)) as server:
        assert text(await call(tool(client, server.port, {"method": "HEAD"}), id="1")) == "HTTP 200 OK"


async def test_a_tool_asks_only_for_what_its_templates_read(client):
    compiled = tool(
        client,
        1,
        {"headers": {"X-Trace": "{{ request.headers.X-Trace }}"}},
        response={"body": {"q": "{{ request.query.q }}"}},
    )
    assert compiled.request_reads == {("headers", "x-trace"), ("query", "q")}
